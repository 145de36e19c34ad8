#!/usr/bin/env bash
# Apache Kafka's own Connect with Debezium's PostgreSQL source, from Maven Central. Needs a JDK, 17 or newer, and Maven.
#   connect.sh fetch                          gets the jars, once, and says what they are
#   connect.sh serve DIR PORT BROKER [k=v...]  runs a worker with its REST API on 127.0.0.1:PORT and such options, until it is killed
# The process of serve is the worker's. CONNECT_SINK=1 adds Debezium's JDBC sink, 58 MB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
jars=${XDG_CACHE_HOME:-$HOME/.cache}/weir/connect-$(cat "$here/pom.xml" "$here/connect.sh" | sha256sum | cut -c1-16)
kafka=4.3.1 debezium=3.7.0.Final jdbc=3.6.0.Final
for program in java mvn; do
  command -v $program >/dev/null || { echo "there is no $program: apt-get install openjdk-17-jdk-headless maven" >&2; exit 3; }
done
if [ ! -e "$jars/done" ]; then
  mkdir -p "$jars/plugins"
  copy=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
  mvn -q -B -f "$here/pom.xml" $copy:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars" >&2
  mvn -q -B $copy:copy -Dartifact="io.debezium:debezium-connector-postgres:$debezium:tar.gz:plugin" -DoutputDirectory="$jars/archive" >&2
  tar xzf "$jars"/archive/debezium-connector-postgres-*.tar.gz -C "$jars/plugins"
  touch "$jars/done"
fi
plugins=$jars/plugins
if [ "${CONNECT_SINK:-}" ]; then
  if [ ! -e "$jars/sinks/done" ]; then
    mkdir -p "$jars/sinks"
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="io.debezium:debezium-connector-jdbc:$jdbc:tar.gz:plugin" -DoutputDirectory="$jars/archive" >&2
    tar xzf "$jars"/archive/debezium-connector-jdbc-*.tar.gz -C "$jars/sinks"
    touch "$jars/sinks/done"
  fi
  plugins+=,$jars/sinks
fi
case ${1:-} in
fetch) echo "$kafka with Debezium $debezium${CONNECT_SINK:+ (JDBC sink $jdbc)}" ;;
serve)
  mkdir -p "$2"
  cat >"$2/worker.properties" <<P
bootstrap.servers=$4
group.id=connect-jvm
config.storage.topic=jvm-configs
offset.storage.topic=jvm-offsets
status.storage.topic=jvm-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
listeners=http://127.0.0.1:$3
rest.advertised.host.name=127.0.0.1
plugin.path=$plugins
P
  printf '%s\n' "${@:5}" >>"$2/worker.properties"
  printf '%s\n' rootLogger.level=INFO rootLogger.appenderRef.c.ref=c appender.c.type=Console appender.c.name=c appender.c.layout.type=PatternLayout \
    appender.c.filter.t.type=ThresholdFilter appender.c.filter.t.level=WARN >"$2/log4j2.properties"
  # Not compiled as well as it could be, for the sake of a quick start; to measure, set CONNECT_JAVA to something else.
  # shellcheck disable=SC2086
  exec java ${CONNECT_JAVA:--Xmx1G -XX:TieredStopAtLevel=1 -XX:+UseSerialGC} -Dlog4j2.configurationFile="$2/log4j2.properties" -cp "$jars/*" \
    org.apache.kafka.connect.cli.ConnectDistributed "$2/worker.properties"
  ;;
*) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
