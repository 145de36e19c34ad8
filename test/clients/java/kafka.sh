#!/usr/bin/env bash
# A real Apache Kafka on one node, from its jars.
#   kafka.sh libs              fetches the jars once and prints where they are
#   kafka.sh start DIR PORT [k=v...]  starts it on 127.0.0.1:PORT (and PORT+1 for its controller) with these options,
#                              returns when it answers; started again, it goes on with the data that is there, and one
#                              that runs is killed before, as a crash does
#   NODES=N kafka.sh start ... starts a cluster on PORT, PORT+1, ... (and the controllers on PORT+N, ...); started again, only
#                              the first node is killed and started
#                              (#node in an option is the node's number)
#   NODES=N NODE=n kafka.sh start ...  starts the n-th node of such a cluster only, and returns when that answers
#   kafka.sh stop DIR
# What it complains of is in DIR/log, and the others in DIR/2/log, ...
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
home() { if [ "$2" = 1 ]; then echo "$1"; else echo "$1/$2"; fi; }
case ${1:-} in
libs) echo "$libs" ;;
start)
  nodes=${NODES:-1} voters= replicas=$((${NODES:-1} < 3 ? 1 : 3)) start=${NODE:-1}
  [ -n "${NODE:-}" ] || [ -e "$2/pid" ] || start=$(seq "$nodes")
  for n in $(seq "$nodes"); do voters+=,$n@127.0.0.1:$(($3 + nodes - 1 + n)); done
  java=(java ${KAFKA_JVM:--Xmx512M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC} -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
    -Dorg.slf4j.simpleLogger.showDateTime=true -cp "$libs/*")
  for n in $start; do
    d=$(home "$2" "$n")
    mkdir -p "$d"
    if [ -e "$d/pid" ]; then
      kill -9 "$(cat "$d/pid")" 2>/dev/null || true
      while kill -0 "$(cat "$d/pid")" 2>/dev/null; do sleep 0.02; done
    fi
    cat >"$d/server.properties" <<P
process.roles=broker,controller
node.id=$n
controller.quorum.voters=${voters#,}
listeners=PLAINTEXT://127.0.0.1:$(($3 - 1 + n)),CONTROLLER://127.0.0.1:$(($3 + nodes - 1 + n))
controller.listener.names=CONTROLLER
log.dirs=$d/data
offsets.topic.replication.factor=$replicas
group.initial.rebalance.delay.ms=0
P
    [ $replicas = 1 ] || printf '%s\n' default.replication.factor=3 min.insync.replicas=2 >>"$d/server.properties"
    printf '%s\n' "${@:4}" | sed "s/#node/$n/g" >>"$d/server.properties"
    {
      [ -e "$d/data/meta.properties" ] || "${java[@]}" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c "$d/server.properties"
      exec "${java[@]}" kafka.Kafka "$d/server.properties"
    } >>"$d/log" 2>&1 </dev/null &
    echo $! >"$d/pid"
  done
  for n in $start; do
    d=$(home "$2" "$n")
    for _ in $(seq 1800); do
      (exec 3<>"/dev/tcp/127.0.0.1/$(($3 - 1 + n))") 2>/dev/null && continue 2
      kill -0 "$(cat "$d/pid")" 2>/dev/null || break
      sleep 0.1
    done
    echo "Apache Kafka did not start:"; tail -n 50 "$d/log"; exit 1
  done ;;
stop)
  for pid in "$2/pid" "$2"/*/pid; do
    [ -e "$pid" ] || continue
    kill -9 "$(cat "$pid")" 2>/dev/null || true
    rm "$pid"
  done ;;
*) sed -n 2,15p "$0"; exit 2 ;;
esac
