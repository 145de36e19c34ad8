"""Sends and reads with librdkafka, and prints what happens as events: see the Go package history.

librdkafka.py SERVERS TOPIC PARTITIONS SECONDS_BETWEEN_SENDS SECONDS_TO_DRAIN
A line on standard input ends the sending, its end ends the reading.
"""
import json
import os
import sys
import threading
import time
import zlib

from confluent_kafka import Consumer, Producer, TopicPartition

SERVERS, TOPIC = sys.argv[1:3]
PARTITIONS, EVERY, DRAIN = int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
NAME, READER = "librdkafka", "librdkafka-reader"
BASE = {"bootstrap.servers": SERVERS, "topic.metadata.refresh.interval.ms": 5000, "topic.metadata.refresh.fast.interval.ms": 50,
        "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50, "retry.backoff.max.ms": 200,
        "socket.timeout.ms": 5000, "socket.connection.setup.timeout.ms": 2000, "error_cb": lambda e: print(e, file=sys.stderr)}
no_more_sending, end = threading.Event(), threading.Event()
printing = threading.Lock()


def event(**fields):
    with printing:
        print(json.dumps({"at": time.monotonic_ns()} | fields), flush=True)


def payload(name):
    checksum = zlib.crc32(name.encode())
    return name + "|" + f"{checksum:08x}" * (checksum % 64)


def send():
    producer = Producer(BASE | {"client.id": NAME, "enable.idempotence": True, "acks": "all", "linger.ms": 0, "message.timeout.ms": 0,
                                "request.timeout.ms": 5000, "queue.buffering.max.messages": 9000})
    due = time.monotonic()
    i = 0
    while not no_more_sending.is_set():
        due += EVERY
        producer.poll(max(0, due - time.monotonic()))
        while time.monotonic() < due:
            producer.poll(max(0, due - time.monotonic()))
        i += 1
        if len(producer) >= 9000:
            continue
        partition, value, op = i % PARTITIONS, f"{NAME}-{i}", i

        def ended(error, message, op=op, partition=partition):
            if error:
                event(client=NAME, op=op, kind="send", phase="info", partition=partition, offset=0, error=str(error))
            else:
                event(client=NAME, op=op, kind="send", phase="ok", partition=partition, offset=-1 if message.offset() is None else max(message.offset(), -1))

        event(client=NAME, op=op, kind="send", phase="invoke", partition=partition, offset=0, value=value)
        producer.produce(TOPIC, payload(value), key=value, partition=partition, on_delivery=ended)
    producer.flush(DRAIN)


def read():
    consumer = Consumer(BASE | {"client.id": READER, "group.id": READER, "enable.auto.commit": False, "auto.offset.reset": "error",
                                "fetch.wait.max.ms": 500})
    consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
    while not end.is_set():
        reads = {}
        for message in consumer.consume(1000, 0.1):
            if message.error():
                print(f"reading partition {message.partition()}: {message.error()}", file=sys.stderr)
                continue
            reads.setdefault(message.partition(), []).append({"offset": message.offset(), "value": message.value().decode(errors="replace")})
        for partition, some in reads.items():
            event(client=READER, kind="poll", phase="ok", mode="assign", partition=partition, offset=0, reads=some)
    consumer.close()


def failed(args):
    threading.__excepthook__(args)
    os._exit(1)  # a client that lost a half of itself must not go on


threading.excepthook = failed
threads = [threading.Thread(target=f) for f in (send, read)]
for thread in threads:
    thread.start()
sys.stdin.readline()
no_more_sending.set()
sys.stdin.read()
end.set()
for thread in threads:
    thread.join()
