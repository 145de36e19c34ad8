import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache Kafka's command-line tools one after the other in one JVM, since starting one each would take minutes:
 * java Tools HOST:PORT,.... Prints each command, what the tool printed, and its exit code if it is not 0.
 *
 * <p>A line of tools.txt is a command, named as Kafka's scripts are; lines after it that begin with "< " are its input;
 * "#" begins a comment. "member start GROUP TOPIC" and "member stop" keep a consumer in a group meanwhile. WORK is
 * replaced by a directory of this run, and "write FILE" puts its input there. "sorted" before a command sorts what it prints,
 * where that is in no particular order. After a command that changes topics or configurations the next one waits until the
 * broker shows the change, see Metadata.
 */
public class Tools {
    /** Where the main method of each of Kafka's scripts is. */
    private static final Map<String, String> MAIN = Map.ofEntries(
        Map.entry("kafka-acls", "org.apache.kafka.tools.AclCommand"),
        Map.entry("kafka-broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand"),
        Map.entry("kafka-client-metrics", "org.apache.kafka.tools.ClientMetricsCommand"),
        Map.entry("kafka-cluster", "org.apache.kafka.tools.ClusterTool"),
        Map.entry("kafka-configs", "kafka.admin.ConfigCommand"),
        Map.entry("kafka-console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
        Map.entry("kafka-console-producer", "org.apache.kafka.tools.ConsoleProducer"),
        Map.entry("kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
        Map.entry("kafka-consumer-perf-test", "org.apache.kafka.tools.ConsumerPerformance"),
        Map.entry("kafka-delete-records", "org.apache.kafka.tools.DeleteRecordsCommand"),
        Map.entry("kafka-e2e-latency", "org.apache.kafka.tools.EndToEndLatency"),
        Map.entry("kafka-features", "org.apache.kafka.tools.FeatureCommand"),
        Map.entry("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
        Map.entry("kafka-groups", "org.apache.kafka.tools.GroupsCommand"),
        Map.entry("kafka-leader-election", "org.apache.kafka.tools.LeaderElectionCommand"),
        Map.entry("kafka-log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
        Map.entry("kafka-producer-perf-test", "org.apache.kafka.tools.ProducerPerformance"),
        Map.entry("kafka-reassign-partitions", "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"),
        Map.entry("kafka-streams-application-reset", "org.apache.kafka.tools.StreamsResetter"),
        Map.entry("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
        Map.entry("kafka-verifiable-consumer", "org.apache.kafka.tools.VerifiableConsumer"),
        Map.entry("kafka-verifiable-producer", "org.apache.kafka.tools.VerifiableProducer"));

    /** What passes, and some tools leave it to their user to try again: errors, and the end of a log that has no leader just then. */
    private static final Pattern PASSES = Pattern.compile(
        "(Timeout|Disconnect|NotLeaderOrFollower|LeaderNotAvailable|CoordinatorNotAvailable|NotCoordinator|CoordinatorLoadInProgress|Network)Exception"
            + "|^\\S+ +\\S+ +[0-9]+ +[0-9]+ +- ");
    private static final int MORE_TRIES = 10;

    /** The tools that tell of all brokers: what they say is of no use to the story when one is not there. */
    private static final Set<String> OF_ALL = Set.of("kafka-broker-api-versions", "kafka-cluster", "kafka-configs", "kafka-features", "kafka-log-dirs");

    private static final Pattern WORD = Pattern.compile("'([^']*)'|(\\S+)");
    private static final PrintStream OUT = System.out;

    /** The tools that change the cluster's metadata, and the options with which they do. */
    private static final Set<String> CHANGING = Set.of("kafka-topics", "kafka-configs");
    private static final Set<String> CHANGES = Set.of("--create", "--alter", "--delete");

    /** What a tool's call of exit becomes, since the JVM must go on. */
    private static class Exited extends Error {
        Exited() {
            super(null, null, false, false);
        }
    }

    private final String server;
    private final Path work;
    private final Metadata metadata;
    private final List<Runnable> hooks = new ArrayList<>(); // that run when the tool ends; the console producer sends there what it has gathered
    private ByteArrayOutputStream printed;
    private Integer code; // with which the tool exited first; some catch what that throws, complain and exit again
    private Member member;

    private Tools(String server, Path work) {
        this.server = server;
        this.work = work;
        metadata = new Metadata(server);
    }

    public static void main(String[] arguments) throws Exception {
        Path work = Files.createTempDirectory("tools");
        Tools tools = new Tools(arguments[0], work);
        Exit.setExitProcedure((code, message) -> tools.exit(code));
        Exit.setHaltProcedure((code, message) -> tools.exit(code));
        Exit.setShutdownHookAdder((name, hook) -> tools.hooks.add(hook));
        List<String> lines = Files.readAllLines(Path.of("tools.txt"));
        for (int at = 0; at < lines.size(); ) {
            String command = lines.get(at++);
            StringBuilder input = new StringBuilder();
            for (; at < lines.size() && lines.get(at).startsWith("< "); at++)
                input.append(lines.get(at).substring(2)).append('\n');
            if (!command.isBlank() && !command.startsWith("#"))
                tools.run(command, input.toString());
        }
        OUT.flush();
        System.exit(0); // also when a tool left a thread behind
    }

    private void run(String command, String input) throws Exception {
        OUT.println("$ " + command);
        List<String> words = new ArrayList<>();
        Matcher matcher = WORD.matcher(command.replace("WORK", work.toString()));
        while (matcher.find())
            words.add(matcher.group(1) != null ? matcher.group(1) : matcher.group(2));
        String tool = words.remove(0);
        boolean sorted = tool.equals("sorted");
        if (sorted)
            tool = words.remove(0);
        if (tool.equals("write"))
            Files.writeString(Path.of(words.get(0)), input);
        else if (tool.equals("member") && words.get(0).equals("start"))
            member = new Member(server, words.get(1), words.get(2));
        else if (tool.equals("member"))
            member.close();
        else
            call(tool, words, input, sorted);
    }

    private void call(String tool, List<String> words, String input, boolean sorted) throws Exception {
        if (tool.equals("kafka-producer-perf-test") || tool.equals("kafka-cluster"))
            words.addAll(List.of("--bootstrap-server", server));
        else
            words.addAll(0, List.of("--bootstrap-server", server));
        List<String> lines = once(tool, words, input);
        for (int more = 0; more < MORE_TRIES && (lines.stream().anyMatch(line -> PASSES.matcher(line).find()) || OF_ALL.contains(tool) && !metadata.whole()); more++) {
            metadata.awaitAll();
            lines = once(tool, words, input);
        }
        if (sorted)
            Collections.sort(lines);
        lines.forEach(OUT::println);
        if (code != null && code != 0)
            OUT.println("exit " + code);
        if (CHANGING.contains(tool) && words.stream().anyMatch(CHANGES::contains))
            metadata.await();
    }

    /** Runs a tool and gives what it printed. */
    private List<String> once(String tool, List<String> words, String input) throws Exception {
        code = null;
        printed = new ByteArrayOutputStream();
        PrintStream stream = new PrintStream(printed, true, StandardCharsets.UTF_8);
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        System.setOut(stream);
        System.setErr(stream);
        try {
            Class.forName(MAIN.get(tool)).getMethod("main", String[].class).invoke(null, (Object) words.toArray(new String[0]));
        } catch (InvocationTargetException e) {
            if (code == null)
                stream.println(e.getCause());
        }
        System.setOut(stream);
        hooks.forEach(Runnable::run);
        hooks.clear();
        return printed.toString(StandardCharsets.UTF_8).lines()
            .filter(line -> !line.isBlank() && !line.startsWith("\tat ") && !line.startsWith("\t... ")).collect(Collectors.toList());
    }

    private void exit(int with) {
        if (code == null) {
            code = with;
            System.out.flush();
            System.setOut(new PrintStream(OutputStream.nullOutputStream()));
            System.setErr(System.out);
        }
        throw new Exited();
    }
}
