"""The everyday story told with aiokafka: aiokafka.py HOST:PORT,... RESTART. See ../README.md."""
import asyncio
import contextlib
import subprocess
import sys

sys.path.pop(0)  # this file has the library's name
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # noqa: E402
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic  # noqa: E402
from aiokafka.errors import KafkaError  # noqa: E402

SERVER, RESTART = sys.argv[1:3]
TOPIC = "aiokafka"
REPLICAS = min(3, SERVER.count(",") + 1)  # it does not let the brokers decide
PLACES = [TopicPartition(TOPIC, p) for p in range(3)]


def consumer(*topics, **settings):
    return AIOKafkaConsumer(*topics, bootstrap_servers=SERVER, auto_offset_reset="earliest", enable_auto_commit=False, **settings)


async def take(reader, count):
    taken = []
    while len(taken) < count:
        taken.append(await asyncio.wait_for(reader.getone(), 40))
    return sorted(taken, key=lambda m: (m.partition, m.offset))


async def main():
    print("# topics")
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVER)
    await admin.start()
    for _ in range(2):
        made = await admin.create_topics([NewTopic(TOPIC, 2, REPLICAS, topic_configs={"retention.ms": "3600000"})])
        print("create", [(t[0], t[1], t[2]) for t in made.topic_errors])
    grown = await admin.create_partitions({TOPIC: NewPartitions(3)})
    print("partitions", [(t[0], t[1]) for t in grown.topic_errors])

    print("# producing")
    for codec in None, "gzip", "snappy", "lz4", "zstd":
        producer = AIOKafkaProducer(bootstrap_servers=SERVER, compression_type=codec, enable_idempotence=True)
        await producer.start()
        for p in range(3):
            at = await producer.send_and_wait(TOPIC, f"{codec} {p} ".encode() * 20, key=b"key", partition=p, headers=[("codec", str(codec).encode())])
            print("produced", at.partition, at.offset)
        await producer.stop()
    producer = AIOKafkaProducer(bootstrap_servers=SERVER, max_request_size=3_000_000)
    await producer.start()
    try:
        await producer.send_and_wait(TOPIC, b"x" * 2_000_000, partition=0)
    except KafkaError as e:
        print("refused", type(e).__name__)
    print("null", (await producer.send_and_wait(TOPIC, None, key=b"null", partition=0)).offset)

    print("# reading")
    reader = consumer()
    await reader.start()
    reader.assign(PLACES)
    for m in await take(reader, 16):
        print(m.partition, m.offset, m.key, m.value and len(m.value), m.headers)
    print("ends", sorted((p.partition, o) for p, o in (await reader.end_offsets(PLACES)).items()))
    print("later", [v for _, v in sorted((await reader.offsets_for_times({p: 4_000_000_000_000 for p in PLACES})).items())])
    await reader.stop()

    print("# a group over a crash of the broker")
    member = consumer(TOPIC, group_id=TOPIC)
    await member.start()
    come = await take(member, 16)
    await member.commit()
    subprocess.run([RESTART], check=True, stdout=subprocess.DEVNULL)
    for p in range(3):
        await producer.send_and_wait(TOPIC, b"after", partition=p)
    come += await take(member, 3)
    await member.commit()
    print("came", len(come), "different", len({(m.partition, m.offset) for m in come}))
    with contextlib.suppress(asyncio.CancelledError):  # which it lets out when it is stopped while it waits to fetch again
        await member.stop()
    await producer.stop()
    await admin.close()

    print("# administration")
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVER)
    await admin.start()
    offsets = await admin.list_consumer_group_offsets(TOPIC)
    print("offsets", sorted((p.partition, o.offset) for p, o in offsets.items()))
    print("groups", [g for g in await admin.list_consumer_groups() if g[0] == TOPIC])
    await admin.delete_topics([TOPIC])
    shown = True
    for _ in range(200):  # Apache Kafka shows the deleted topic a moment longer
        if not (shown := TOPIC in await admin.list_topics()):
            break
        await asyncio.sleep(0.05)
    print("topics", shown)
    await admin.close()


asyncio.run(main())
