import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.common.config.ConfigResource;

/**
 * Waits until every broker knows all that was changed. Apache Kafka answers a change when the controller has it, and the
 * brokers learn it a moment later, from a log. So one more change is made and undone, and waited for: what comes before it
 * in the log is known then, since Kafka's broker looks at configurations last. A broker that does not answer is asked again.
 */
class Metadata {
    private static final ConfigResource BROKERS = new ConfigResource(ConfigResource.Type.BROKER, "");
    private static final String MARK = "log.segment.bytes"; // which is set to what it is without
    private static final String VALUE = "1073741824";
    private static final Duration MOST = Duration.ofMinutes(1);

    private final Admin admin;
    private final int brokers;

    Metadata(String server) {
        brokers = server.split(",").length;
        admin = Admin.create(Map.of("bootstrap.servers", server));
    }

    /** Tells whether all brokers are there. */
    boolean whole() throws Exception {
        return admin.describeCluster().nodes().get().size() == brokers;
    }

    void awaitAll() throws Exception {
        for (Instant deadline = Instant.now().plus(MOST); !whole(); Thread.sleep(100))
            if (Instant.now().isAfter(deadline))
                throw new IllegalStateException("a broker never came back");
    }

    void await() throws Exception {
        mark(AlterConfigOp.OpType.SET, true);
        mark(AlterConfigOp.OpType.DELETE, false);
    }

    private void mark(AlterConfigOp.OpType change, boolean wanted) throws Exception {
        AlterConfigOp operation = new AlterConfigOp(new ConfigEntry(MARK, VALUE), change);
        admin.incrementalAlterConfigs(Map.of(BROKERS, List.of(operation))).all().get();
        for (Instant deadline = Instant.now().plus(MOST); !shownAs(wanted); Thread.sleep(2))
            if (Instant.now().isAfter(deadline))
                throw new IllegalStateException("the brokers never showed a change of " + MARK);
    }

    private boolean shownAs(boolean wanted) throws Exception {
        List<ConfigResource> brokers = admin.describeCluster().nodes().get().stream()
            .map(n -> new ConfigResource(ConfigResource.Type.BROKER, n.idString())).collect(Collectors.toList());
        try {
            return admin.describeConfigs(brokers, new DescribeConfigsOptions().timeoutMs(5000)).all().get().values().stream()
                .allMatch(config -> wanted == config.entries().stream().anyMatch(entry -> entry.name().equals(MARK)
                    && entry.source() == ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG));
        } catch (ExecutionException e) {
            return false;
        }
    }
}
