"""confluent-kafka (librdkafka) against a node: produce with every codec, consume, groups, resume."""
import sys
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

SERVER = sys.argv[1]
passed = 0


def check(what, ok):
    global passed
    if not ok:
        print(f"FAIL {what}")
        sys.exit(1)
    passed += 1


admin = AdminClient({"bootstrap.servers": SERVER})
topic = f"py-{uuid.uuid4().hex[:8]}"
for future in admin.create_topics([NewTopic(topic, 3, 1)]).values():
    future.result()
check("create topic", len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 3)

total = 0
for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    producer = Producer({"bootstrap.servers": SERVER, "compression.type": codec, "enable.idempotence": True, "linger.ms": 5})
    errors = []
    for i in range(200):
        producer.produce(topic, key=str(i), value=f"{codec}-{i}-" + "x" * 100, headers={"n": str(i)},
                         on_delivery=lambda e, m: errors.append(e) if e else None)
        total += 1
    check(f"produce {codec}", producer.flush(20) == 0 and not errors)

settings = {"bootstrap.servers": SERVER, "group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False}


def take(consumer, count):
    out = []
    while len(out) < count:
        m = consumer.poll(20)
        check("poll", m is not None and not m.error())
        out.append((m.value(), m.key(), m.headers()))
    return out


first = Consumer(settings)
first.subscribe([topic])
seen = take(first, total // 2)
first.commit(asynchronous=False)
first.close()
second = Consumer(settings)
second.subscribe([topic])
seen += take(second, total - total // 2)
check("no record twice", len({v for v, _, _ in seen}) == total)
check("headers", all(h[0][0] == "n" and h[0][1] == k for _, k, h in seen))
second.commit(asynchronous=False)
committed = second.committed([TopicPartition(topic, p) for p in range(3)], timeout=10)
check("committed", sum(c.offset for c in committed) == total)
low, high = second.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
check("watermarks", low == 0 and high > 0)
second.close()
groups = admin.list_consumer_groups().result()
check("list groups", topic in {g.group_id for g in groups.valid})
for future in admin.delete_consumer_groups([topic]).values():
    future.result()
for future in admin.delete_topics([topic]).values():
    future.result()
print(f"confluent-kafka: {passed} passed, 0 failed")
