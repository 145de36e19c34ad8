#!/usr/bin/env bash
# A real OpenSearch for tests, from Maven Central. Needs a JDK, 17 or newer, and Maven.
#   run.sh fetch                       get the jars, once; 53 MB
#   run.sh serve DIR PORT [k=v...]     run a node on 127.0.0.1:PORT, with its data in DIR and such settings, until it is killed
# The process of serve is the node's: it can be killed like it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
jars=${XDG_CACHE_HOME:-$HOME/.cache}/weir/opensearch-$(sha256sum <"$here/pom.xml" | cut -c1-16)
for program in java mvn; do
  command -v $program >/dev/null || { echo "there is no $program: apt-get install openjdk-17-jdk-headless maven" >&2; exit 3; }
done
if [ ! -e "$jars/done" ]; then
  mvn -q -B -f "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars" >&2
  touch "$jars/done"
fi
case ${1:-} in
fetch) ;;
serve)
  shift
  mkdir -p "$1/tmp"
  # Not compiled as well as it could be, for the sake of a quick start; to measure, set OPENSEARCH_JAVA to something else.
  # shellcheck disable=SC2086
  exec java -Xms512m -Xmx512m ${OPENSEARCH_JAVA:--XX:TieredStopAtLevel=1 -XX:+UseSerialGC} -Djava.io.tmpdir="$1/tmp" -cp "$jars/*" "$here/Server.java" "$@"
  ;;
*) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
