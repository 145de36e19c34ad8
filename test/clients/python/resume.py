"""librdkafka over a crash of the broker: the same idempotent producer and the same group member go on when it is back."""
import subprocess
import sys
import uuid

from confluent_kafka import Consumer, Producer

server, restart = sys.argv[1], sys.argv[2]
topic = f"resume-{uuid.uuid4().hex[:8]}"
producer = Producer({"bootstrap.servers": server, "enable.idempotence": True, "log_level": 0})
consumer = Consumer({"bootstrap.servers": server, "group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                     "session.timeout.ms": 6000, "topic.metadata.refresh.interval.ms": 500, "log_level": 0})
acked, failed, seen = [], [], []


def send(count):
    for i in range(count):
        producer.produce(topic, value=str(len(acked) + len(failed) + i),
                         on_delivery=lambda e, m: failed.append(e) if e else acked.append((m.partition(), m.offset())))
        producer.poll(0)
    if producer.flush(40) != 0 or failed:
        sys.exit(f"FAIL {len(failed)} records were not acknowledged: {failed[:1]}")


def receive(count):
    while len(seen) < count:
        m = consumer.poll(40)
        if m is None:
            sys.exit(f"FAIL only {len(seen)} of {count} records came")
        if not m.error():
            seen.append(m.value())
    consumer.commit(asynchronous=False)


send(500)
consumer.subscribe([topic])
receive(500)
subprocess.run([restart], check=True)
send(500)
receive(1000)
if len(set(acked)) != 1000 or len(seen) != 1000 or len(set(seen)) != len(seen):
    sys.exit(f"FAIL {len(set(acked))} places acknowledged, {len(seen)} records came, {len(set(seen))} different")
consumer.close()
print("confluent-kafka over a crash of the broker: 3 passed, 0 failed")
