"""Sends or reads with librdkafka, and prints what happens as events: see the Go package history.

librdkafka.py send SERVERS TOPIC PARTITIONS SECONDS_BETWEEN_SENDS SECONDS_TO_DRAIN
librdkafka.py read SERVERS TOPIC PARTITIONS
It ends when its standard input does; it sends no more then, and waits for what is on its way.
"""
import json
import select
import sys
import time
import zlib

from confluent_kafka import Consumer, Producer, TopicPartition

DO, SERVERS, TOPIC, PARTITIONS = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
IN_FLIGHT_MOST = 9000
NAME = {"send": "librdkafka", "read": "librdkafka-reader"}[DO]
BASE = {"bootstrap.servers": SERVERS, "client.id": NAME, "error_cb": lambda e: print(e, file=sys.stderr),
        "topic.metadata.refresh.interval.ms": 5000, "topic.metadata.refresh.fast.interval.ms": 50, "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50, "retry.backoff.max.ms": 200, "socket.timeout.ms": 1500,
        "socket.connection.setup.timeout.ms": 1000}


def event(**fields):
    print(json.dumps({"at": time.monotonic_ns(), "client": NAME, "offset": 0} | fields), flush=True)


def payload(name):
    checksum = zlib.crc32(name.encode())
    return name + "|" + f"{checksum:08x}" * (checksum % 64)


def ended():
    return select.select([sys.stdin], [], [], 0)[0]


def send(every, drain):
    producer = Producer(BASE | {"enable.idempotence": True, "acks": "all", "linger.ms": 0, "message.timeout.ms": 0, "request.timeout.ms": 1500,
                                "queue.buffering.max.messages": IN_FLIGHT_MOST + 1})
    due, op = time.monotonic(), 0
    while not ended():
        due += every
        while (left := due - time.monotonic()) > 0:
            producer.poll(left)
        op += 1
        if len(producer) >= IN_FLIGHT_MOST:
            producer.poll(0)
            continue
        place = {"op": op, "kind": "send", "partition": op % PARTITIONS}

        def delivered(error, message, place=place):
            if error:
                event(phase="info", error=str(error), **place)
            else:
                offset = message.offset()
                event(phase="ok", **place, offset=-1 if offset is None else max(offset, -1))

        value = f"{NAME}-{op}"
        event(phase="invoke", value=value, **place)
        producer.produce(TOPIC, payload(value), key=value, partition=place["partition"], on_delivery=delivered)
    producer.flush(drain)


def read():
    consumer = Consumer(BASE | {"group.id": NAME, "enable.auto.commit": False, "auto.offset.reset": "error", "fetch.wait.max.ms": 500})
    consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
    while not ended():
        reads = {}
        for message in consumer.consume(1000, 0.1):
            if message.error():
                print(f"reading partition {message.partition()}: {message.error()}", file=sys.stderr)
                continue
            reads.setdefault(message.partition(), []).append({"offset": message.offset(), "value": message.value().decode(errors="replace")})
        for partition, some in reads.items():
            event(kind="poll", phase="ok", mode="assign", partition=partition, reads=some)
    consumer.close()


if DO == "send":
    send(float(sys.argv[5]), float(sys.argv[6]))
else:
    read()
