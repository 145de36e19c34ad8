#!/usr/bin/env bash
# Apache Kafka's own console tools (the Java clients) against a node: java/everyday.sh HOST:PORT
set -euo pipefail
cd "$(dirname "$0")"
server=$1
libs=$(./kafka.sh libs)
tool() { java -Xmx256M -cp "$libs/*" "$@" 2>&1; }
passed=0
want() { # what, text, pattern
  if grep -qE -- "$3" <<<"$2"; then passed=$((passed + 1)); else echo "FAIL $1: no '$3' in:"; echo "$2"; exit 1; fi
}
topic=java-$RANDOM
b="--bootstrap-server $server"
want "create topic" "$(tool org.apache.kafka.tools.TopicCommand $b --create --topic $topic --partitions 3)" "Created topic $topic"
want "create it again" "$(tool org.apache.kafka.tools.TopicCommand $b --create --topic $topic || true)" "Topic '$topic' already exists"
want "describe topic" "$(tool org.apache.kafka.tools.TopicCommand $b --describe --topic $topic)" "PartitionCount: 3"
seq 1 500 | tool org.apache.kafka.tools.ConsoleProducer $b --topic $topic --compression-codec lz4
want "offsets" "$(tool org.apache.kafka.tools.GetOffsetShell $b --topic $topic | awk -F: '{n += $3} END {print "sum", n}')" "sum 500"
first=$(tool org.apache.kafka.tools.consumer.ConsoleConsumer $b --topic $topic --from-beginning --group $topic --max-messages 200 --timeout-ms 30000)
want "consume" "$first" "Processed a total of 200 messages"
rest=$(tool org.apache.kafka.tools.consumer.ConsoleConsumer $b --topic $topic --from-beginning --group $topic --max-messages 300 --timeout-ms 30000)
want "resume" "$rest" "Processed a total of 300 messages"
want "nothing twice" "$( (echo "$first"; echo "$rest") | grep -E '^[0-9]+$' | sort -un | wc -l)" "^500$"
want "list groups" "$(tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand $b --list)" "^$topic$"
want "describe group" "$(tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand $b --describe --group $topic)" "$topic +$topic +[0-9]+ +[0-9]+ +[0-9]+ +0 "
want "performance producer" "$(tool org.apache.kafka.tools.ProducerPerformance --topic $topic --num-records 20000 --record-size 500 --throughput -1 --producer-props bootstrap.servers=$server acks=all)" "20000 records sent"
want "alter config" "$(tool kafka.admin.ConfigCommand $b --alter --entity-type topics --entity-name $topic --add-config retention.ms=123456)" "Completed updating config for topic $topic"
want "describe config" "$(tool kafka.admin.ConfigCommand $b --describe --entity-type topics --entity-name $topic)" "retention.ms=123456"
want "more partitions" "$(tool org.apache.kafka.tools.TopicCommand $b --alter --topic $topic --partitions 5; tool org.apache.kafka.tools.TopicCommand $b --describe --topic $topic)" "PartitionCount: 5"
want "delete group" "$(tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand $b --delete --group $topic)" "was successful"
tool org.apache.kafka.tools.TopicCommand $b --delete --topic $topic
want "topic is gone" "$(tool org.apache.kafka.tools.TopicCommand $b --describe --topic $topic || true)" "does not exist"
echo "Apache Kafka's tools: $passed passed, 0 failed"
