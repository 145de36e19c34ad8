#!/usr/bin/env bash
# Runs the shop against a fresh node. With an argument, host:port, against the cluster there.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'kill "${node:-}" 2>/dev/null && wait "$node" 2>/dev/null || true; rm -rf "$work"' EXIT

address=${1:-}
if [ -z "$address" ]; then
  [ -x bin/weir ] || { echo "bin/weir is missing: run make build"; exit 1; }
  address=127.0.0.1:$((20000 + RANDOM % 10000))
  bin/weir serve --set "log.dirs=$work/data" --set "listeners=PLAINTEXT://$address" --set http.listener= \
    --set group.initial.rebalance.delay.ms=0 >"$work/node.log" 2>&1 &
  node=$!
  for _ in $(seq 500); do grep -q 'Weir is ready' "$work/node.log" && break; sleep 0.02; done
  grep -q 'Weir is ready' "$work/node.log" || { cat "$work/node.log"; exit 1; }
  echo "A fresh node is at $address."
fi

# A Python with confluent-kafka for the second opinion: the machine's own, or one made here.
python=
if command -v python3 >/dev/null; then
  if python3 -c 'import confluent_kafka' 2>/dev/null; then
    python=python3
  else
    venv=${XDG_CACHE_HOME:-$HOME/.cache}/weir/python
    if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import confluent_kafka' 2>/dev/null; then
      python3 -m venv "$venv" >/dev/null 2>&1 && "$venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka >/dev/null 2>&1 || true
    fi
    "$venv/bin/python" -c 'import confluent_kafka' 2>/dev/null && python=$venv/bin/python
  fi
fi
go build -o "$work/shop" ./examples/shop
"$work/shop" -bootstrap-server "$address" ${python:+-python "$python"}
