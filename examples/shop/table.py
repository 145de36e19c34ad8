"""Computes the shop's table of products from the topics and prints it as JSON: a second opinion, in Python."""
import json
import sys

from confluent_kafka import Consumer, TopicPartition, OFFSET_BEGINNING

TOPICS = ["shop.searches", "shop.orders", "shop.dispatches", "shop.stock"]

consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "second-opinion", "enable.auto.commit": False})
assignment, left = [], 0
for topic, metadata in consumer.list_topics(timeout=20).topics.items():
    if topic in TOPICS:
        for partition in metadata.partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
            assignment.append(TopicPartition(topic, partition, OFFSET_BEGINNING))
            left += high - low
consumer.assign(assignment)

table = {}
while left > 0:
    message = consumer.poll(20)
    if message is None:
        sys.exit(f"no event for 20 s, and {left} are missing")
    if message.error():
        sys.exit(str(message.error()))
    left -= 1
    event = json.loads(message.value())
    row = table.setdefault(event["product"], {"available": 0, "sold": 0, "searched": 0})
    if event["kind"] == "searched":
        row["searched"] += 1
    elif event["kind"] == "ordered":
        row["sold"] += event["quantity"]
    elif event["kind"] == "delivered":
        row["available"] += event["quantity"]
    elif event["kind"] == "dispatched":
        row["available"] -= event["quantity"]
consumer.close()
json.dump(table, sys.stdout)
