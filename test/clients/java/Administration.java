import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeProducersResult;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** The part of the story that an administrator tells. */
class Administration {
    private static final String GROUP = "survivor";
    private static final List<String> GROUPS = List.of(GROUP, "java-committing", "java-cooperative", "java-static"); // the story's
    private static final ConfigResource OF_TOPIC = new ConfigResource(ConfigResource.Type.TOPIC, Everyday.TOPIC);

    private final Admin admin;
    private final Metadata metadata;

    Administration(Everyday story, Admin admin) {
        this.admin = admin;
        metadata = new Metadata(story.server);
    }

    void topics() throws Exception {
        Everyday.say("# topics");
        NewTopic topic = topic(Everyday.TOPIC, 2).configs(Map.of("retention.ms", "3600000"));
        for (int i = 0; i < 2; i++)
            create(topic);
        create(topic("no spaces", 1));
        create(new NewTopic("placed", 1, (short) 4));
        create(topic("odd", 1).configs(Map.of("no.such", "1")));
        create(new NewTopic("java.assigned", Map.of(0, List.of(1), 1, List.of(1))));
        for (int i = 0; i < 2; i++)
            Everyday.say("partitions", Everyday.outcome(() ->
                admin.createPartitions(Map.of(Everyday.TOPIC, NewPartitions.increaseTo(Everyday.PARTITIONS))).all().get()));
        metadata.await();
        Everyday.say("listed", admin.listTopics().names().get().stream().filter(name -> name.startsWith("java")).sorted().collect(Collectors.toList()));
        TopicDescription described = admin.describeTopics(List.of(Everyday.TOPIC)).allTopicNames().get().get(Everyday.TOPIC);
        described.partitions().forEach(p -> Everyday.say("partition", p.partition(), "leader", p.leader().id(), "replicas", p.replicas().size(), "in sync", p.isr().size()));
        Everyday.say("by id", admin.describeTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).allTopicIds().get()
            .get(described.topicId()).name(), described.isInternal(), described.authorizedOperations());
        Everyday.say("absent", Everyday.outcome(() -> admin.describeTopics(List.of("absent")).allTopicNames().get()));
    }

    /** A topic with as many replicas as the brokers give one by themselves. */
    private static NewTopic topic(String name, int partitions) {
        return new NewTopic(name, Optional.of(partitions), Optional.empty());
    }

    private void create(NewTopic topic) {
        Everyday.say("create", topic.name(), Everyday.outcome(() -> {
            var made = admin.createTopics(List.of(topic));
            made.all().get();
            return made.numPartitions(topic.name()).get() + " " + made.replicationFactor(topic.name()).get() + " "
                + Optional.ofNullable(made.config(topic.name()).get().get("retention.ms")).map(ConfigEntry::value).orElse("none");
        }));
    }

    void all() throws Exception {
        Everyday.say("# administration");
        metadata.awaitAll();
        Everyday.say("brokers", admin.describeCluster().nodes().get().size(), admin.describeCluster().controller().get().id());
        configurations();
        offsets();
        directories();
        groups();
        Everyday.say("delete", Everyday.outcome(() -> admin.deleteTopics(List.of(Everyday.TOPIC, "java.assigned")).all().get()));
        Everyday.say("delete", Everyday.outcome(() -> admin.deleteTopics(List.of("absent")).all().get()));
        metadata.await();
        Everyday.say("listed", admin.listTopics().names().get().stream().filter(name -> name.startsWith("java")).sorted().collect(Collectors.toList()));
    }

    private void configurations() throws Exception {
        Everyday.say("# configurations");
        Config before = described();
        before.entries().stream().filter(e -> e.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
            .forEach(e -> Everyday.say(e.name(), e.value(), e.source(), e.isReadOnly(), e.isSensitive(), e.type()));
        configure("retention.ms", "7200000", AlterConfigOp.OpType.SET);
        configure("retention.ms", "x", AlterConfigOp.OpType.SET);
        configure("retention.ms", null, AlterConfigOp.OpType.DELETE);
        configure("no.such", "1", AlterConfigOp.OpType.SET);
        configure("leader.replication.throttled.replicas", "0:1", AlterConfigOp.OpType.APPEND);
        configure("leader.replication.throttled.replicas", "1:1", AlterConfigOp.OpType.APPEND);
        configure("leader.replication.throttled.replicas", "0:1", AlterConfigOp.OpType.SUBTRACT);
        configure("retention.ms", "1", AlterConfigOp.OpType.APPEND);
    }

    private void configure(String name, String value, AlterConfigOp.OpType how) throws Exception {
        AlterConfigOp operation = new AlterConfigOp(new ConfigEntry(name, value), how);
        Everyday.say(how, name, value, Everyday.outcome(() -> admin.incrementalAlterConfigs(Map.of(OF_TOPIC, List.of(operation))).all().get()));
        metadata.await();
        ConfigEntry now = described().get(name);
        Everyday.say("now", now == null ? "nothing" : now.value() + " " + now.source());
    }

    private Config described() throws Exception {
        return admin.describeConfigs(List.of(OF_TOPIC)).all().get().get(OF_TOPIC);
    }

    private void offsets() throws Exception {
        Everyday.say("# offsets");
        listed("earliest", OffsetSpec.earliest());
        listed("latest", OffsetSpec.latest());
        listed("at 2001", OffsetSpec.forTimestamp(1_000_000_000_000L));
        Everyday.say("newest has a time", admin.listOffsets(Map.of(Everyday.PLACES.get(0), OffsetSpec.maxTimestamp())).all().get()
            .get(Everyday.PLACES.get(0)).timestamp() > 1_000_000_000_000L);
        TopicPartition place = Everyday.PLACES.get(0);
        for (long before : List.of(2L, 1L, 1_000_000L))
            Everyday.say("delete before", before, Everyday.outcome(() ->
                admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(before))).lowWatermarks().get(place).get().lowWatermark()));
        listed("earliest", OffsetSpec.earliest());
        DescribeProducersResult.PartitionProducerState producers = admin.describeProducers(List.of(place)).partitionResult(place).get();
        Everyday.say("producers", !producers.activeProducers().isEmpty(),
            producers.activeProducers().stream().allMatch(p -> p.producerEpoch() == 0 && p.currentTransactionStartOffset().isEmpty()));
    }

    private void listed(String what, OffsetSpec spec) throws Exception {
        Map<TopicPartition, ListOffsetsResult.ListOffsetsResultInfo> found =
            admin.listOffsets(Everyday.PLACES.stream().collect(Collectors.toMap(p -> p, p -> spec))).all().get();
        // Where the records of the crash went is the partitioner's choice.
        if (what.equals("latest"))
            Everyday.say(what, found.values().stream().mapToLong(ListOffsetsResult.ListOffsetsResultInfo::offset).sum());
        else
            Everyday.say(what, Everyday.PLACES.stream().map(p -> found.get(p).offset()).collect(Collectors.toList()));
    }

    private void directories() throws Exception {
        Everyday.say("# log directories");
        for (LogDirDescription directory : admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).values()) {
            Everyday.say("directory", directory.error(), directory.totalBytes().orElse(0) > directory.usableBytes().orElse(0));
            directory.replicaInfos().entrySet().stream().filter(e -> e.getKey().topic().equals(Everyday.TOPIC))
                .sorted((a, b) -> a.getKey().partition() - b.getKey().partition())
                .forEach(e -> Everyday.say(e.getKey(), e.getValue().size() > 0, e.getValue().offsetLag(), e.getValue().isFuture()));
        }
    }

    private void groups() throws Exception {
        Everyday.say("# groups of others");
        List<String> listed;
        Instant deadline = Instant.now().plusSeconds(30);
        do { // while a coordinator goes from one broker to another, no broker may list its groups
            listed = new ArrayList<>();
            for (GroupListing g : admin.listGroups().all().get())
                if (g.groupId().startsWith("java-") || g.groupId().equals(GROUP))
                    listed.add(g.groupId() + " " + g.type().map(Object::toString).orElse("no type") + " " + g.protocol() + " " + g.groupState().map(Object::toString).orElse("no state"));
        } while (listed.size() < GROUPS.size() && Instant.now().isBefore(deadline));
        listed.stream().sorted().forEach(line -> Everyday.say("group", line));
        Everyday.say("describe", admin.describeConsumerGroups(List.of(GROUP)).all().get().get(GROUP).groupState());
        Everyday.say("describe absent", Everyday.outcome(() -> admin.describeConsumerGroups(List.of("absent")).all().get()));
        TopicPartition place = Everyday.PLACES.get(0), unknown = new TopicPartition(Everyday.TOPIC, 9);
        Everyday.say("alter offsets", Everyday.outcome(() -> admin.alterConsumerGroupOffsets(GROUP, Map.of(place, new OffsetAndMetadata(3, "moved"))).all().get()));
        Everyday.say("alter offsets", Everyday.outcome(() -> admin.alterConsumerGroupOffsets(GROUP, Map.of(unknown, new OffsetAndMetadata(3))).all().get()));
        OffsetAndMetadata moved = committed().get(place);
        Everyday.say("committed", moved.offset(), moved.metadata(), committed().size());
        Everyday.say("delete offsets", Everyday.outcome(() -> admin.deleteConsumerGroupOffsets(GROUP, Set.of(place)).all().get()));
        Everyday.say("committed", committed().size());
        Everyday.say("offsets of absent", Everyday.outcome(() -> admin.listConsumerGroupOffsets("absent").partitionsToOffsetAndMetadata().get()));
        for (String group : GROUPS)
            Everyday.say("delete group", group, Everyday.outcome(() -> admin.deleteConsumerGroups(List.of(group)).all().get()));
        Everyday.say("delete group", "absent", Everyday.outcome(() -> admin.deleteConsumerGroups(List.of("absent")).all().get()));
    }

    private Map<TopicPartition, OffsetAndMetadata> committed() throws Exception {
        return admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata().get();
    }
}
