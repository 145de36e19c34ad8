#!/usr/bin/env bash
# A real Apache Kafka on one node, from its jars.
#   kafka.sh libs              fetches the jars once and prints where they are
#   kafka.sh start DIR PORT [k=v...]  starts it on 127.0.0.1:PORT (and PORT+1 for its controller) with these options,
#                              returns when it answers; started again, it goes on with the data that is there, and one
#                              that runs is killed before, as a crash does
#   kafka.sh stop DIR
# What it complains of is in DIR/log.
# KAFKA_JVM may be set to other options of the Java machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
libs=${CLIENTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/java-$(sha256sum <"$here/pom.xml" | cut -c1-16)/kafka-4.3.1
if [ ! -e "$libs/.done" ]; then
  mkdir -p "$libs"
  mvn -q -B -f "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$libs" >/dev/null
  touch "$libs/.done"
fi
case ${1:-} in
libs) echo "$libs" ;;
start)
  mkdir -p "$2"
  if [ -e "$2/pid" ]; then
    kill -9 "$(cat "$2/pid")" 2>/dev/null || true
    while kill -0 "$(cat "$2/pid")" 2>/dev/null; do sleep 0.02; done
  fi
  cat >"$2/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$(($3 + 1))
listeners=PLAINTEXT://127.0.0.1:$3,CONTROLLER://127.0.0.1:$(($3 + 1))
controller.listener.names=CONTROLLER
log.dirs=$2/data
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
P
  printf '%s\n' "${@:4}" >>"$2/server.properties"
  java=(java ${KAFKA_JVM:--Xmx512M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC} -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
    -Dorg.slf4j.simpleLogger.showDateTime=true -cp "$libs/*")
  [ -e "$2/data/meta.properties" ] || "${java[@]}" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c "$2/server.properties" >"$2/log"
  "${java[@]}" kafka.Kafka "$2/server.properties" >>"$2/log" 2>&1 </dev/null &
  echo $! >"$2/pid"
  for _ in $(seq 1800); do
    (exec 3<>"/dev/tcp/127.0.0.1/$3") 2>/dev/null && exit 0
    kill -0 "$(cat "$2/pid")" 2>/dev/null || break
    sleep 0.1
  done
  echo "Apache Kafka did not start:"; tail -n 50 "$2/log"; exit 1 ;;
stop)
  kill -9 "$(cat "$2/pid")" 2>/dev/null || true
  rm "$2/pid" ;;
*) sed -n 2,9p "$0"; exit 2 ;;
esac
