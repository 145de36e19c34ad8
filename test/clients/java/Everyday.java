import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The everyday story told with Apache Kafka's own clients: java Everyday HOST:PORT,... RESTART. See ../README.md. */
public class Everyday {
    static final String TOPIC = "java";
    static final int PARTITIONS = 4;
    static final List<TopicPartition> PLACES =
        IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(TOPIC, p)).collect(Collectors.toList());
    private static final Duration MOST = Duration.ofMinutes(1);

    final String server;
    private final String restart;

    private Everyday(String server, String restart) {
        this.server = server;
        this.restart = restart;
    }

    public static void main(String[] arguments) throws Exception {
        Everyday story = new Everyday(arguments[0], arguments[1]);
        try (Admin admin = story.admin()) {
            Administration administration = new Administration(story, admin);
            administration.topics();
            story.producing();
            story.reading();
            new Groups(story, admin).all();
        }
        story.crash();
        try (Admin admin = story.admin()) {
            new Administration(story, admin).all();
        }
        System.exit(0);
    }

    Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", server));
    }

    KafkaProducer<String, String> producer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", server));
        all.putAll(settings);
        return new KafkaProducer<>(all, new StringSerializer(), new StringSerializer());
    }

    KafkaConsumer<String, String> consumer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", server, "auto.offset.reset", "earliest", "enable.auto.commit", false,
            "fetch.max.wait.ms", 50));
        all.putAll(settings);
        return new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
    }

    KafkaConsumer<String, String> member(String group, Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("group.id", group, "heartbeat.interval.ms", 100));
        all.putAll(settings);
        return consumer(all);
    }

    private void producing() {
        say("# producing");
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
            produce(Map.of("compression.type", codec, "enable.idempotence", true), IntStream.range(0, 3).mapToObj(n -> {
                ProducerRecord<String, String> record = new ProducerRecord<>(TOPIC, codec + "-" + n, (codec + " ").repeat(50));
                record.headers().add("codec", codec.getBytes(StandardCharsets.UTF_8)).add("nothing", null).add("n", new byte[] {(byte) n});
                return record;
            }).collect(Collectors.toList()));
        for (String acks : List.of("0", "1", "all"))
            produce(Map.of("acks", acks, "enable.idempotence", false), List.of(new ProducerRecord<>(TOPIC, "acks", acks)));
        produce(Map.of(), List.of(
            new ProducerRecord<>(TOPIC, "null", null), new ProducerRecord<>(TOPIC, "empty", ""), new ProducerRecord<>(TOPIC, 1, null, "no key"),
            new ProducerRecord<>(TOPIC, 2, 1_000_000_000_000L, "old", "of 2001"), new ProducerRecord<>(TOPIC, 0, "large", "x".repeat(900_000))));
        produce(Map.of("max.request.size", 3_000_000), List.of(new ProducerRecord<>(TOPIC, 0, "too large", "x".repeat(2_000_000))));
        produce(Map.of("max.block.ms", 10_000), List.of(new ProducerRecord<>("no spaces", "lost", "v")));
        // Many batches on their way at once, each partition's in order.
        try (KafkaProducer<String, String> producer = producer(Map.of("enable.idempotence", true, "batch.size", 1000, "linger.ms", 1))) {
            List<Future<RecordMetadata>> sent = IntStream.range(0, 200)
                .mapToObj(n -> producer.send(new ProducerRecord<>(TOPIC, n % PARTITIONS, "many", "value " + n))).collect(Collectors.toList());
            Map<Integer, List<Long>> offsets = new TreeMap<>();
            sent.forEach(one -> offsets.computeIfAbsent(get(one).partition(), p -> new ArrayList<>()).add(get(one).offset()));
            offsets.forEach((p, of) -> say("many", p, of.size(), of.get(0), of.get(of.size() - 1),
                IntStream.range(1, of.size()).allMatch(i -> of.get(i) == of.get(i - 1) + 1)));
        }
    }

    /** Sends one record after the other, so that their places are certain. */
    private void produce(Map<String, Object> settings, List<ProducerRecord<String, String>> records) {
        try (KafkaProducer<String, String> producer = producer(settings)) {
            for (ProducerRecord<String, String> record : records)
                say("produced", record.key(), outcome(() -> {
                    RecordMetadata made = producer.send(record).get();
                    return made.partition() + "@" + made.offset() + " " + made.serializedKeySize() + " " + made.serializedValueSize();
                }));
        }
    }

    private void reading() {
        say("# reading");
        try (KafkaConsumer<String, String> reader = consumer(Map.of("auto.offset.reset", "none"))) {
            say("partitions", reader.partitionsFor(TOPIC).stream().map(p -> p.partition()).sorted().collect(Collectors.toList()));
            Map<TopicPartition, Long> ends = reader.endOffsets(PLACES);
            say("starts", inOrder(reader.beginningOffsets(PLACES)), "ends", inOrder(ends));
            reader.assign(PLACES);
            say("no place to begin at", outcome(() -> reader.poll(MOST)));
            reader.seekToBeginning(PLACES);
            show(take(reader, total(ends)));
            reader.assign(PLACES.subList(1, 2));
            reader.seek(PLACES.get(1), 2);
            show(take(reader, 1));
            for (long at : List.of(0L, 999_999_999_999L, 1_000_000_000_001L, 4_000_000_000_000L)) {
                Map<TopicPartition, OffsetAndTimestamp> found =
                    reader.offsetsForTimes(PLACES.stream().collect(Collectors.toMap(p -> p, p -> at)));
                say("at", at, PLACES.stream().map(p -> found.get(p) == null ? "none" : "" + found.get(p).offset()).collect(Collectors.toList()));
            }
            long middle = middle(reader);
            TopicPartition place = PLACES.get(3);
            reader.assign(List.of(place));
            reader.seek(place, reader.offsetsForTimes(Map.of(place, middle)).get(place).offset());
            say("from a record's time", reader.poll(MOST).iterator().next().timestamp() >= middle);
            reader.seek(place, 1_000_000);
            say("beyond the end", outcome(() -> reader.poll(MOST)));
            reader.pause(List.of(place));
            reader.seek(place, 0);
            say("paused", reader.poll(Duration.ofMillis(100)).count());
            reader.resume(List.of(place));
            show(take(reader, 1));
        }
    }

    /** The time of a record in the middle of the last partition. */
    private long middle(KafkaConsumer<String, String> reader) {
        TopicPartition place = PLACES.get(3);
        reader.assign(List.of(place));
        reader.seek(place, 25);
        return reader.poll(MOST).iterator().next().timestamp();
    }

    private void crash() throws IOException, InterruptedException {
        say("# a crash of the broker");
        try (KafkaProducer<String, String> producer = producer(Map.of("enable.idempotence", true));
             KafkaConsumer<String, String> consumer = member("survivor", Map.of())) {
            consumer.subscribe(List.of(TOPIC));
            int before = total(consumer.endOffsets(PLACES));
            Set<String> acknowledged = new HashSet<>();
            List<ConsumerRecord<String, String>> come = new ArrayList<>(take(consumer, before));
            for (int half = 0; half < 2; half++) {
                if (half == 1)
                    restart();
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                for (int n = 0; n < 100; n++)
                    sent.add(producer.send(new ProducerRecord<>(TOPIC, "" + n, "half " + half)));
                sent.forEach(one -> acknowledged.add(get(one).partition() + "@" + get(one).offset()));
                come.addAll(take(consumer, 100));
                consumer.commitSync();
                say("acknowledged", acknowledged.size(), "came", come.size() - before, "different",
                    come.stream().map(Everyday::place).distinct().count() - before);
            }
            say("committed", consumer.committed(Set.copyOf(PLACES)).values().stream().mapToLong(o -> o.offset()).sum() - before);
        }
    }

    private void restart() throws IOException, InterruptedException {
        ProcessBuilder command = new ProcessBuilder(restart).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD);
        if (command.start().waitFor() != 0)
            throw new IllegalStateException("the broker did not start again");
    }

    static void say(Object... words) {
        System.out.println(Arrays.stream(words).map(String::valueOf).collect(Collectors.joining(" ")));
    }

    /** Waits for what other clients do as well, which a poll of theirs moves on. */
    static void until(String what, BooleanSupplier so) {
        for (Instant deadline = Instant.now().plus(MOST); !so.getAsBoolean(); )
            if (Instant.now().isAfter(deadline))
                throw new IllegalStateException("never came: " + what);
    }

    static <T> T get(Future<T> future) {
        try {
            return future.get();
        } catch (InterruptedException | ExecutionException e) {
            throw new CompletionException(e.getCause());
        }
    }

    /** Tells what comes of it: its value, or the error. */
    static String outcome(Callable<?> what) {
        try {
            Object value = what.call();
            return value == null ? "done" : value.toString();
        } catch (OffsetOutOfRangeException e) {
            return e.getClass().getSimpleName() + " " + e.offsetOutOfRangePartitions();
        } catch (NoOffsetForPartitionException e) { // names them in any order
            return e.getClass().getSimpleName() + " " + e.partitions().size();
        } catch (Exception e) {
            Throwable cause = e instanceof ExecutionException || e instanceof CompletionException ? e.getCause() : e;
            return cause.getClass().getSimpleName() + ": " + cause.getMessage();
        }
    }

    static List<ConsumerRecord<String, String>> take(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> taken = new ArrayList<>();
        until(count + " records", () -> {
            consumer.poll(Duration.ofMillis(100)).forEach(taken::add);
            return taken.size() >= count;
        });
        taken.sort(Comparator.<ConsumerRecord<String, String>>comparingInt(r -> r.partition()).thenComparingLong(r -> r.offset()));
        return taken;
    }

    static int total(Map<TopicPartition, Long> offsets) {
        return (int) offsets.values().stream().mapToLong(o -> o).sum();
    }

    static List<Long> inOrder(Map<TopicPartition, Long> offsets) {
        return PLACES.stream().map(offsets::get).collect(Collectors.toList());
    }

    static String place(ConsumerRecord<?, ?> record) {
        return record.partition() + "@" + record.offset();
    }

    private static void show(List<ConsumerRecord<String, String>> records) {
        for (ConsumerRecord<String, String> r : records) {
            List<String> headers = new ArrayList<>();
            for (Header h : r.headers())
                headers.add(h.key() + "=" + (h.value() == null ? "null" : Arrays.toString(h.value())));
            String value = r.value() == null || r.value().length() < 50 ? r.value() : r.value().length() + " characters";
            say(place(r), r.key(), value, headers, r.timestampType(), r.leaderEpoch().isPresent(), r.timestamp() == 1_000_000_000_000L ? "old" : "");
        }
    }
}
