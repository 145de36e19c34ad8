#!/usr/bin/env bash
# Other people's clients against a fresh node. What this machine has no language for is left out, and said so; with
# CLIENTS_REQUIRED=1 that is a failure.
set -euo pipefail
cd "$(dirname "$0")"
root=../..
[ -x $root/bin/weir ] || { echo "bin/weir is missing: run make build"; exit 1; }
work=$(mktemp -d)
address=127.0.0.1:$((30000 + RANDOM % 10000))
cat >"$work/start" <<S
#!/usr/bin/env bash
# Starts the node; one that runs is killed before, as a crash does.
if [ -e "$work/pid" ]; then
  old=\$(cat "$work/pid")
  kill -9 "\$old"
  while kill -0 "\$old" 2>/dev/null; do sleep 0.02; done
fi
"$PWD/$root/bin/weir" serve --set "log.dirs=$work/data" --set "listeners=PLAINTEXT://$address" --set http.listener= >>"$work/log" 2>&1 </dev/null &
echo \$! >"$work/pid"
for _ in \$(seq 500); do (exec 3<>"/dev/tcp/${address/://}") 2>/dev/null && exit 0; sleep 0.02; done
cat "$work/log"; exit 1
S
chmod +x "$work/start"
trap 'kill "$(cat "$work/pid")" 2>/dev/null; sleep 0.3; rm -rf "$work"' EXIT
"$work/start"

left_out=0
skip() { echo "left out: $1 ($2 is not on this machine)"; left_out=$((left_out + 1)); }

if command -v python3 >/dev/null; then
  venv=${XDG_CACHE_HOME:-$HOME/.cache}/weir/python
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/python" -c 'import confluent_kafka' 2>/dev/null || "$venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka
  "$venv/bin/python" python/confluent.py "$address"
  "$venv/bin/python" python/resume.py "$address" "$work/start"
else skip confluent-kafka python3; fi

if command -v npm >/dev/null; then
  (cd js && npm install --no-audit --no-fund --no-package-lock --silent >/dev/null && node everyday.js "$address")
else skip kafkajs npm; fi

if command -v mvn >/dev/null && command -v java >/dev/null; then
  bash java/everyday.sh "$address"
else skip "Apache Kafka's tools" "mvn or java"; fi

if grep -E 'level=(ERROR|WARN)|panic' "$work/log"; then echo "FAIL: the node complained, see above"; exit 1; fi
if [ "${CLIENTS_REQUIRED:-}" = 1 ] && [ $left_out -gt 0 ]; then exit 1; fi
