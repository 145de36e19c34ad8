"""The everyday story told with confluent-kafka, which is librdkafka: confluent.py HOST:PORT,... RESTART. See ../README.md."""
import subprocess
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions as GroupOffsets
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec

SERVER, RESTART = sys.argv[1:3]
TOPIC = "confluent"
BASE = {"bootstrap.servers": SERVER, "log_level": 0}
admin = AdminClient(BASE)


def attempt(what, futures):
    """Tells what became of each of an administrator's wishes."""
    for name, future in futures.items():
        try:
            print(what, name, future.result() or "done")
        except KafkaException as e:
            print(what, name, e.args[0].name(), e.args[0].str())


def produce(settings, records, topic=TOPIC):
    producer = Producer(BASE | settings)
    for record in records:
        try:
            producer.produce(topic, **record, on_delivery=lambda e, m: print(
                "produced", m.key(), e.name() if e else f"at {m.partition()}@{m.offset()}"))
        except KafkaException as e:
            print("not produced", record["key"], e.args[0].name())
        left = producer.flush(30)  # one request a record, so that their order is certain
        assert left == 0, f"{left} records were not settled"


def consumer(group=TOPIC, **settings):
    return Consumer(BASE | {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, "heartbeat.interval.ms": 300}
                    | {k.replace("_", "."): v for k, v in settings.items()})


def take(consumer, count):
    taken = []
    while len(taken) < count:
        message = consumer.poll(40)
        assert message is not None, f"only {len(taken)} of {count} records came"
        if not message.error():
            taken.append(message)
    return sorted(taken, key=lambda m: (m.partition(), m.offset()))


def show(messages):
    for m in messages:
        print(f"{m.partition()}@{m.offset()}", m.key(), m.value() if len(m.value() or "") < 99 else len(m.value()), m.headers())


def again(ask, settled=lambda got: True):
    """Asks until there is an answer, where librdkafka leaves it to its caller to ask again after it lost a broker."""
    deadline = time.monotonic() + 60
    while True:
        try:
            got = ask()
            if settled(got):
                return got
            problem = got
        except KafkaException as e:
            problem = e
        assert time.monotonic() < deadline, problem
        time.sleep(0.05)


def share(members, partitions):
    """Polls all members until each has its share of the partitions."""
    deadline = time.monotonic() + 60
    while sorted(len(m.assignment()) for m in members) != partitions:
        assert time.monotonic() < deadline, [m.assignment() for m in members]
        for member in members:
            member.poll(0.1)
    print("shares", partitions, sorted(p.partition for m in members for p in m.assignment()))


print("# topics")
attempt("create", admin.create_topics([NewTopic(TOPIC, 2, -1, config={"retention.ms": "3600000"})]))
attempt("create again", admin.create_topics([NewTopic(TOPIC, 2, -1)]))
attempt("create badly", admin.create_topics([NewTopic("no spaces", 1, -1), NewTopic("placed", 1, 4), NewTopic("odd", 1, -1, config={"no": "1"})]))
attempt("partitions", admin.create_partitions([NewPartitions(TOPIC, 3)]))
while len(admin.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions) < 3:
    pass  # Apache Kafka takes a moment to show it
for p in admin.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions.values():
    print("partition", p.id, "leader", p.leader, "replicas", p.replicas, "in sync", p.isrs)

print("# producing")
for codec in "none", "gzip", "snappy", "lz4", "zstd":
    produce({"compression.type": codec, "enable.idempotence": True},
            [{"key": f"{codec}-{i}", "value": f"{codec} {i} " + "x" * 200, "headers": {"codec": codec, "n": None}} for i in range(3)])
for acks in "0", "1", "all":
    produce({"acks": acks}, [{"key": f"acks={acks}", "value": "v"}])
produce({}, [{"key": "null", "value": None}, {"key": "empty", "value": b""}, {"key": None, "value": "no key", "partition": 1}])
produce({}, [{"key": "old", "value": "of 2001", "timestamp": 1_000_000_000_000, "partition": 2}])
produce({"message.max.bytes": 3000000}, [{"key": "too large", "value": "x" * 2000000}])
produce({}, [{"key": "large", "value": "x" * 900000, "partition": 0}])
produce({}, [{"key": "lost", "value": "v"}], topic="no spaces")

print("# reading")
reader = consumer()
places = [TopicPartition(TOPIC, p) for p in range(3)]
ends = [again(lambda: reader.get_watermark_offsets(p, timeout=10)) for p in places]
print("ends", ends)
reader.assign([TopicPartition(TOPIC, p, 0) for p in range(3)])
total = sum(high for _, high in ends)
show(take(reader, total))
reader.assign([TopicPartition(TOPIC, 1, 2)])
show(take(reader, 1))
for at in 999_999_999_999, 1_000_000_000_001, 4_000_000_000_000:
    found = again(lambda: reader.offsets_for_times([TopicPartition(TOPIC, p, at) for p in range(3)], timeout=10),
                  lambda got: not any(p.error for p in got))
    print("at", at, [p.offset for p in found])
reader.close()

print("# groups")
first = consumer()
first.subscribe([TOPIC])
seen = take(first, total)
middle = {p: max([m.offset() for m in seen if m.partition() == p]) for p in range(3)}
first.commit(offsets=[TopicPartition(TOPIC, p, middle[p]) for p in range(3)], asynchronous=False)
first.close()
second = consumer()
second.subscribe([TOPIC])
show(take(second, 3))
second.commit(asynchronous=False)
print("committed", [p.offset for p in second.committed(places, timeout=10)])
second.close()
for strategy in "range", "cooperative-sticky":
    group = f"{TOPIC}-{strategy}"
    members = [consumer(group=group, partition_assignment_strategy=strategy) for _ in range(2)]
    members[0].subscribe([TOPIC])
    share(members[:1], [3])
    members[1].subscribe([TOPIC])
    share(members, [1, 2])
    members.pop(0).close()
    share(members, [3])
    described = admin.describe_consumer_groups([group])[group].result()
    print(described.group_id, described.state, described.partition_assignor, [len(m.assignment.topic_partitions) for m in described.members])
    members[0].close()
for life in range(2):
    static = consumer(group="confluent-static", group_instance_id="one")
    static.subscribe([TOPIC])
    share([static], [3])
    static.close()
    print([m.group_instance_id for m in admin.describe_consumer_groups(["confluent-static"])["confluent-static"].result().members])

print("# a crash of the broker")
producer = Producer(BASE | {"enable.idempotence": True})
survivor = consumer(group="confluent-survivor", session_timeout_ms=20000)
survivor.subscribe([TOPIC])
come = [(m.partition(), m.offset()) for m in take(survivor, total)]
survivor.commit(asynchronous=False)
acked = []
for half in range(2):
    if half:
        subprocess.run([RESTART], check=True, stdout=subprocess.DEVNULL)
    for i in range(100):
        producer.produce(TOPIC, key=str(i), value=f"{half}", on_delivery=lambda e, m: acked.append((m.partition(), m.offset())) or e and sys.exit(str(e)))
    assert producer.flush(60) == 0
    come += [(m.partition(), m.offset()) for m in take(survivor, 100)]
    survivor.commit(asynchronous=False)
    print("acknowledged", len(set(acked)), "came", len(come), "different", len(set(come)))
print("committed", sum(p.offset for p in survivor.committed(places, timeout=10)))
survivor.close()

print("# administration")
admin = AdminClient(BASE)  # the old one waits for a minute where it remembers a coordinator from before
topic = ConfigResource(ConfigResource.Type.TOPIC, TOPIC)
for operation, value, then in (AlterConfigOpType.SET, "7200000", "7200000"), (AlterConfigOpType.SET, "x", "7200000"), (AlterConfigOpType.DELETE, None, "604800000"):
    topic.incremental_configs = [ConfigEntry("retention.ms", value, incremental_operation=operation)]
    attempt("configure", admin.incremental_alter_configs([topic]))
    for deadline in [time.monotonic() + 20]:  # another broker may show it a moment later
        while (entry := admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, TOPIC)])[topic].result()["retention.ms"]).value != then:
            assert time.monotonic() < deadline, entry
    print(entry.name, entry.value, "default" if entry.is_default else "set")
print("groups", sorted(g.group_id for g in admin.list_consumer_groups().result().valid if g.group_id in (TOPIC, "confluent-range", "confluent-static", "confluent-survivor")))
offsets = admin.list_consumer_group_offsets([GroupOffsets("confluent-survivor")])["confluent-survivor"].result()
print("offsets", sum(p.offset for p in offsets.topic_partitions))
admin.alter_consumer_group_offsets([GroupOffsets("confluent-survivor", [TopicPartition(TOPIC, 0, 1)])])["confluent-survivor"].result()
print("altered", admin.list_consumer_group_offsets([GroupOffsets("confluent-survivor", places[:1])])["confluent-survivor"].result().topic_partitions[0].offset)
for name, spec in ("earliest", OffsetSpec.earliest()), ("latest", OffsetSpec.latest()):
    print(name, again(lambda: [f.result().offset for f in admin.list_offsets({p: spec for p in places}).values()]))
for p, future in admin.delete_records([TopicPartition(TOPIC, 0, 2)]).items():
    print("deleted before", future.result().low_watermark)
for group in TOPIC, "confluent-range", "confluent-cooperative-sticky", "confluent-survivor", "absent":
    attempt("delete group", admin.delete_consumer_groups([group]))
attempt("delete", admin.delete_topics([TOPIC, "absent"]))
