#!/usr/bin/env bash
# Compiles the Java programs here once for each of their states, and runs one: run.sh [Tools|Everyday HOST:PORT RESTART]
set -euo pipefail
cd "$(dirname "$0")"
libs=$(./kafka.sh libs)
classes=$libs/../classes-$(cat ./*.java | sha256sum | cut -c1-16)
if [ ! -e "$classes/.done" ]; then
  mkdir -p "$classes"
  javac -nowarn -d "$classes" -cp "$libs/*" ./*.java
  touch "$classes/.done"
fi
[ $# = 0 ] || exec java -Xmx256M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=off \
  -Duser.timezone=UTC -cp "$classes:$libs/*" "$@"
