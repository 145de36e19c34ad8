import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** The part of the story about groups: committing, members that come and go, static members, the newer protocol. */
class Groups {
    private static final int COMMITTED = 40;

    private final Everyday story;
    private final Admin admin;

    Groups(Everyday story, Admin admin) {
        this.story = story;
        this.admin = admin;
    }

    void all() throws Exception {
        Everyday.say("# groups");
        committing();
        comingAndGoing();
        restarting();
        newProtocol();
    }

    private void committing() {
        String group = "java-committing";
        try (KafkaConsumer<String, String> first = story.member(group, Map.of())) {
            first.subscribe(List.of(Everyday.TOPIC));
            List<ConsumerRecord<String, String>> seen = Everyday.take(first, Everyday.total(first.endOffsets(Everyday.PLACES)));
            Map<TopicPartition, OffsetAndMetadata> upTo = Everyday.PLACES.stream().collect(Collectors.toMap(p -> p, p -> new OffsetAndMetadata(COMMITTED, "note")));
            first.commitSync(upTo);
            Everyday.say("seen", seen.size());
        }
        try (KafkaConsumer<String, String> second = story.member(group, Map.of())) {
            second.subscribe(List.of(Everyday.TOPIC));
            Everyday.say("left", Everyday.take(second, Everyday.total(second.endOffsets(Everyday.PLACES)) - COMMITTED * Everyday.PARTITIONS).size());
            second.commitSync();
            Map<TopicPartition, OffsetAndMetadata> committed = second.committed(Set.copyOf(Everyday.PLACES));
            Everyday.say("committed", Everyday.PLACES.stream().map(p -> committed.get(p).offset() + committed.get(p).metadata()).collect(Collectors.toList()));
        }
    }

    /** A member with what it has been told and has read. Everyday's thread polls them all in turn. */
    private class Participant implements ConsumerRebalanceListener, AutoCloseable {
        final String name;
        final KafkaConsumer<String, String> consumer;
        final List<String> read = new ArrayList<>();
        private final List<String> told = new ArrayList<>();

        Participant(String name, String group, Map<String, Object> settings) {
            this.name = name;
            consumer = story.member(group, settings);
            consumer.subscribe(List.of(Everyday.TOPIC), this);
        }

        void poll() {
            consumer.poll(Duration.ofMillis(20)).forEach(record -> read.add(Everyday.place(record)));
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            tell("is given", partitions);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            consumer.commitSync();
            tell("gives up", partitions);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            tell("lost", partitions);
        }

        // Which ones depends on the members' random ids; how often they are told of nothing, on when they ask.
        private void tell(String what, Collection<TopicPartition> partitions) {
            if (!partitions.isEmpty())
                told.add(name + " " + what + " " + partitions.size());
        }

        /** Says what it was told since the last time, since which of several members hears first is up to the machine. */
        void report() {
            told.forEach(Everyday::say);
            told.clear();
        }

        @Override
        public void close() {
            consumer.close();
            report();
        }
    }

    /** Polls the members until each has so many partitions and the group is at rest. */
    private void settle(String group, List<Participant> members, int... shares) {
        Everyday.until("shares of " + group, () -> {
            members.forEach(Participant::poll);
            for (int i = 0; i < shares.length; i++)
                if (members.get(i).consumer.assignment().size() != shares[i])
                    return false;
            return describe(group).groupState().toString().equals("Stable")
                && describe(group).members().stream().mapToInt(m -> m.assignment().topicPartitions().size()).sum() == Everyday.PARTITIONS;
        });
        members.forEach(Participant::report);
        ConsumerGroupDescription described = describe(group);
        Everyday.say(described.groupState(), described.partitionAssignor(), described.type(), described.members().stream()
            .map(m -> m.groupInstanceId().orElse("no instance") + " " + m.assignment().topicPartitions().size()).sorted().collect(Collectors.toList()));
    }

    private ConsumerGroupDescription describe(String group) {
        return Everyday.get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private void comingAndGoing() {
        Everyday.say("# members that come and go");
        String group = "java-cooperative";
        Map<String, Object> settings = Map.of("partition.assignment.strategy", CooperativeStickyAssignor.class.getName());
        int total;
        List<String> read = new ArrayList<>();
        try (Participant one = new Participant("one", group, settings)) {
            settle(group, List.of(one), 4);
            total = Everyday.total(one.consumer.endOffsets(Everyday.PLACES));
            Set<TopicPartition> had = one.consumer.assignment();
            try (Participant two = new Participant("two", group, settings)) {
                settle(group, List.of(one, two), 2, 2);
                Everyday.say("one kept what it has", had.containsAll(one.consumer.assignment()));
                Everyday.until("all records", () -> {
                    one.poll();
                    two.poll();
                    return one.read.size() + two.read.size() >= total;
                });
                Set<TopicPartition> kept = one.consumer.assignment();
                two.close();
                settle(group, List.of(one), 4);
                Everyday.say("one kept what it had", one.consumer.assignment().containsAll(kept));
                read.addAll(two.read);
            }
            one.poll();
            read.addAll(one.read);
        }
        Everyday.say("all records came once", read.size() == total && new HashSet<>(read).size() == total);
        Everyday.say("left", describe(group).groupState(), describe(group).members().size());
    }

    private void restarting() throws Exception {
        Everyday.say("# static members");
        String group = "java-static";
        Map<String, Object> one = Map.of("group.instance.id", "one"), two = Map.of("group.instance.id", "two");
        try (Participant stays = new Participant("stays", group, one)) {
            settle(group, List.of(stays), 4);
            Participant goes = new Participant("goes", group, two);
            settle(group, List.of(stays, goes), 2, 2);
            Set<TopicPartition> had = goes.consumer.assignment();
            int generation = stays.consumer.groupMetadata().generationId();
            goes.close();
            Everyday.say("after it closed", describe(group).members().size());
            try (Participant again = new Participant("again", group, two)) {
                settle(group, List.of(stays, again), 2, 2);
                Everyday.say("has the same", again.consumer.assignment().equals(had),
                    "no rebalance", again.consumer.groupMetadata().generationId() == generation && stays.consumer.groupMetadata().generationId() == generation);
                try (Participant other = new Participant("other", group, two)) {
                    Everyday.until("its share", () -> {
                        other.poll();
                        return other.consumer.assignment().equals(had);
                    });
                    Everyday.say("fenced", Everyday.outcome(() -> {
                        Everyday.until("that it is fenced", () -> {
                            again.poll();
                            return false;
                        });
                        return null;
                    }));
                }
            }
        }
        Everyday.say("left", describe(group).groupState(), describe(group).members().size());
        for (String instance : List.of("one", "two", "three"))
            Everyday.say("remove", instance, Everyday.outcome(() -> admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove(instance)))).all().get()));
        Everyday.say("left", describe(group).groupState(), describe(group).members().size());
    }

    /** group.protocol=consumer: where the broker has not got it, this is the client's own error. */
    private void newProtocol() throws Exception {
        Everyday.say("# the newer protocol");
        String group = "java-newer";
        KafkaConsumer<String, String> consumer = story.consumer(Map.of("group.id", group, "group.protocol", "consumer"));
        consumer.subscribe(List.of(Everyday.TOPIC));
        Everyday.say("newer", Everyday.outcome(() -> {
            Everyday.until("its share", () -> {
                consumer.poll(Duration.ofMillis(20));
                return consumer.assignment().size() == Everyday.PARTITIONS;
            });
            return "has " + consumer.assignment().size();
        }));
        Everyday.say("closed", Everyday.outcome(() -> {
            consumer.close();
            return null;
        }));
    }
}
