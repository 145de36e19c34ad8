#!/usr/bin/env bash
# Runs the shop against a fresh node of bin/weir. With arguments, against a cluster that is there:
#   examples/shop/run.sh --bootstrap-server host:port [--again]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
node=
finish() {
  status=$?
  if [ -n "$node" ]; then
    kill "$node" 2>/dev/null || true
    wait "$node" || { status=1; echo "The node did not stop cleanly."; }
    [ $status = 0 ] || { echo "The node's last words:"; tail -n 20 "$work/node.log"; }
  fi
  rm -rf "$work"
  exit $status
}
trap finish EXIT

go build -o "$work/shop" ./examples/shop

# A Python with confluent-kafka for the second opinion: the machine's own, or one made here. Without, the shop says what it
# leaves out.
python=python3
if command -v python3 >/dev/null && ! python3 -c 'import confluent_kafka' 2>/dev/null; then
  venv=${XDG_CACHE_HOME:-$HOME/.cache}/weir/python
  if ! "$venv/bin/python" -c 'import confluent_kafka' 2>/dev/null; then
    echo "Installing confluent-kafka for Python in $venv, once."
    { python3 -m venv "$venv" && timeout 120 "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 10 \
      confluent-kafka==2.16.1; } >"$work/pip.log" 2>&1 || { echo "That did not work:"; tail -n 3 "$work/pip.log"; }
  fi
  [ -x "$venv/bin/python" ] && python=$venv/bin/python
fi

if [ $# = 0 ]; then
  [ -x bin/weir ] || { echo "bin/weir is missing: run make build"; exit 1; }
  # Port 0: the node takes a free one and says which. A group that is new waits 3 s for more members, unless it is told not to.
  bin/weir serve --set "log.dirs=$work/data" --set listeners=PLAINTEXT://127.0.0.1:0 --set http.listener= \
    --set group.initial.rebalance.delay.ms=0 >"$work/node.log" 2>&1 &
  node=$!
  address=
  for _ in $(seq 500); do
    address=$(sed -n 's/^ *kafka *\(127\.0\.0\.1:[0-9]*\).*/\1/p' "$work/node.log")
    [ -z "$address" ] && kill -0 "$node" 2>/dev/null || break
    sleep 0.02
  done
  [ -n "$address" ] || { echo "The node did not start."; exit 1; }
  echo "A fresh node is at $address."
  set -- --bootstrap-server "$address"
fi
"$work/shop" --python "$python" "$@"
