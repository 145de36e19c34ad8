#!/usr/bin/env bash
# Compiles the Java programs here once for each of their states, and runs one: run.sh Tools|Everyday HOST:PORT RESTART
set -euo pipefail
cd "$(dirname "$0")"
libs=$(./kafka.sh libs)
classes=$libs/../java-$(cat ./*.java | sha256sum | cut -c1-16)
if [ ! -e "$classes/.done" ]; then
  mkdir -p "$classes"
  javac -nowarn -d "$classes" -cp "$libs/*" ./*.java
  touch "$classes/.done"
fi
program=$1
shift
[ "$program" != Tools ] || set -- "$1" tools.txt
exec java -Xmx256M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Duser.timezone=UTC -cp "$classes:$libs/*" "$program" "$@"
