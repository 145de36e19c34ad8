#!/usr/bin/env bash
# Runs the shop against a fresh node of bin/weir. With arguments, against a cluster that is there:
#   examples/shop/run.sh --bootstrap-server host:port [--again]
# With NODES=3 it is a fresh cluster of three nodes, of which one is killed (kill -9) while the shop is open, and started again.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
node= killer= # processes: the node or the cluster, and what kills a node of it
finish() {
  status=$?
  if [ -n "$killer" ]; then
    kill "$killer" 2>/dev/null || true
    wait "$killer" || true
  fi
  if [ -n "$node" ]; then
    kill "$node" 2>/dev/null || true
    wait "$node" || { status=1; echo "The node did not stop cleanly."; }
    [ $status = 0 ] || { echo "The node's last words:"; tail -n 20 "$work"/node.log "$work"/nodes/*/weir.log 2>/dev/null; }
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

# told PATTERN: waits until the node's output has it, and prints what stands between its parentheses there, a line each.
told() {
  local found
  for _ in $(seq 3000); do
    found=$(sed -n "s/$1/\\1/p" "$work/node.log")
    if [ -n "$found" ]; then echo "$found"; return; fi
    kill -0 "$node" 2>/dev/null || break
    sleep 0.02
  done
  echo "It did not start." >&2
  return 1
}

# kill_one kills a node, by its process, when the systems push, and starts it again.
kill_one() {
  trap 'exit 0' TERM
  until grep -q ' systems push ' "$work/shop.log" 2>/dev/null; do sleep 0.02; done
  sleep 0.5
  kill -9 "$1"
  echo "Node 1 of the cluster was killed (kill -9)."
  sleep 2
  bin/weir serve --config "$work/nodes/node-1/server.properties" >>"$work/nodes/node-1/weir.log" 2>&1 &
  started=$!
  trap 'kill $started; wait $started; exit 0' TERM
  echo "Node 1 is started again."
  wait $started
}

if [ $# = 0 ]; then
  [ -x bin/weir ] || { echo "bin/weir is missing: run make build"; exit 1; }
  if [ "${NODES:-1}" = 1 ]; then
    # Port 0: the node takes a free one and says which. A group that is new waits 3 s for more members, unless it is told not to.
    bin/weir serve --set "log.dirs=$work/data" --set listeners=PLAINTEXT://127.0.0.1:0 --set http.listener= \
      --set group.initial.rebalance.delay.ms=0 >"$work/node.log" 2>&1 &
    node=$!
    addresses=$(told '^ *kafka *\(127\.0\.0\.1:[0-9]*\).*')
    echo "A fresh node is at $addresses."
  else
    bin/weir cluster start-local --nodes "$NODES" --dir "$work/nodes" --port $((20000 + RANDOM % 10000)) -o json >"$work/node.log" 2>&1 &
    node=$!
    first=$(told '.*"pid": *\([0-9]*\).*' | sed -n 1p)
    addresses=$(told '.*"address": *"\([^"]*\)".*' | paste -sd,)
    echo "A fresh cluster is at $addresses."
    kill_one "$first" &
    killer=$!
  fi
  set -- --bootstrap-server "$addresses"
fi
"$work/shop" --python "$python" "$@" | tee "$work/shop.log"
