#!/usr/bin/env bash
# Compiles the Java programs here once for each of their states, and runs one: run.sh tools|java HOST:PORT
set -euo pipefail
cd "$(dirname "$0")"
libs=$(./kafka.sh libs)
classes=$libs/../java-$(cat ./*.java | sha256sum | cut -c1-16)
if [ ! -e "$classes/.done" ]; then
  mkdir -p "$classes"
  javac -nowarn -d "$classes" -cp "$libs/*" ./*.java
  touch "$classes/.done"
fi
java="java -Xmx256M -XX:TieredStopAtLevel=1 -Xshare:auto -Duser.timezone=UTC -cp $classes:$libs/*"
case $1 in
tools) exec $java Tools "$2" tools.txt ;;

esac
