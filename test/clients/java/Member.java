import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A consumer that joins a group, is assigned partitions, and stays until it is closed; it commits nothing. */
class Member implements AutoCloseable {
    private final Thread thread;
    private volatile boolean stopping;
    private volatile boolean assigned;

    Member(String server, String group, String topic) throws InterruptedException {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", server);
        settings.put("group.id", group);
        settings.put("client.id", "member");
        settings.put("enable.auto.commit", "false");
        thread = new Thread(() -> {
            try (KafkaConsumer<byte[], byte[]> consumer =
                     new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                consumer.subscribe(List.of(topic));
                while (!stopping) {
                    consumer.poll(Duration.ofMillis(50));
                    assigned = !consumer.assignment().isEmpty();
                }
            }
        });
        thread.start();
        while (!assigned && thread.isAlive())
            Thread.sleep(10);
    }

    @Override
    public void close() throws InterruptedException {
        stopping = true;
        thread.join();
    }
}
