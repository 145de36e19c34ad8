import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.config.ConfigResource;

/**
 * Waits until a broker knows all that was changed. Apache Kafka answers a change when the controller has it, and the
 * broker learns it a moment later, from a log. So one more change is made and undone, and waited for: what comes before it
 * in the log is known then, since Kafka's broker looks at configurations last.
 */
class Metadata {
    private static final ConfigResource BROKERS = new ConfigResource(ConfigResource.Type.BROKER, "");
    private static final String MARK = "log.segment.bytes"; // which is set to what it is without
    private static final String VALUE = "1073741824";
    private static final Duration MOST = Duration.ofMinutes(1);

    private final Admin admin;

    Metadata(String server) {
        admin = Admin.create(Map.of("bootstrap.servers", server));
    }

    void await() throws Exception {
        mark(AlterConfigOp.OpType.SET, true);
        mark(AlterConfigOp.OpType.DELETE, false);
    }

    private void mark(AlterConfigOp.OpType change, boolean wanted) throws Exception {
        AlterConfigOp operation = new AlterConfigOp(new ConfigEntry(MARK, VALUE), change);
        admin.incrementalAlterConfigs(Map.of(BROKERS, List.of(operation))).all().get();
        for (Instant deadline = Instant.now().plus(MOST); shown() != wanted; Thread.sleep(2))
            if (Instant.now().isAfter(deadline))
                throw new IllegalStateException("the broker never showed a change of " + MARK);
    }

    private boolean shown() throws Exception {
        return admin.describeConfigs(List.of(BROKERS)).all().get().get(BROKERS).entries().stream()
            .anyMatch(entry -> entry.name().equals(MARK) && entry.source() == ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
    }
}
