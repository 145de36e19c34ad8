#!/usr/bin/env bash
# Compiles the Java programs here once for each of their states, and has Kafka's own tools do tools.txt: run.sh HOST:PORT
set -euo pipefail
cd "$(dirname "$0")"
libs=$(./kafka.sh libs)
classes=$libs/../java-$(cat ./*.java | sha256sum | cut -c1-16)
if [ ! -e "$classes/.done" ]; then
  mkdir -p "$classes"
  javac -nowarn -d "$classes" -cp "$libs/*" ./*.java
  touch "$classes/.done"
fi
exec java -Xmx256M -XX:TieredStopAtLevel=1 -Xshare:auto -Duser.timezone=UTC -cp "$classes:$libs/*" Tools "$1" tools.txt
