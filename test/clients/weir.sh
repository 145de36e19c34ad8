#!/usr/bin/env bash
# Nodes of bin/weir on this machine, one or a cluster, as people run them.
#   weir.sh start DIR PORT NODES [k=v...]  starts nodes on 127.0.0.1:PORT, PORT+1, ... (and for each other from PORT+NODES on)
#                              with these options (#node in one is the node's number); returns when all answer and prints their addresses, with commas between
#   weir.sh crash DIR [DOWN]   kill -9 of one node, the next in turn; started again DOWN (0) seconds later; returns when the
#                              cluster is well again. Two never crash at a time
#   weir.sh kill-each DIR SECONDS DOWN  does that again and again, until it is killed
#   weir.sh stop DIR           stops all; fails if one does not end as it should
# What node N says is in DIR/N/log, and what was done to them in DIR/crashes.
set -euo pipefail
weir=$(cd "$(dirname "$0")/../.." && pwd)/bin/weir
dir=${2:-}

run() { # node
  "$weir" serve --config "$dir/$1/server.properties" >>"$dir/$1/log" 2>&1 </dev/null &
  echo $! >"$dir/$1/pid"
}

gone() { while kill -0 "$1" 2>/dev/null; do sleep 0.02; done; }

answers() { # node
  local address
  address=$(sed -n "${1}p" "$dir/addresses")
  for _ in $(seq 3000); do
    (exec 3<>"/dev/tcp/${address/://}") 2>/dev/null && return
    kill -0 "$(cat "$dir/$1/pid")" 2>/dev/null || break
    sleep 0.02
  done
  echo "node $1 of $dir did not start:"; tail -n 50 "$dir/$1/log"; exit 1
}

well() {
  local said=
  for _ in $(seq 300); do
    said=$("$weir" cluster health --timeout 5s -b "$(paste -sd, "$dir/addresses")" 2>&1) && return
    sleep 0.2
  done
  echo "the cluster in $dir was not well again within a minute: $said" | tee -a "$dir/crashes"
  exit 1
}

crash() { # seconds down
  local nodes node pid
  nodes=$(wc -l <"$dir/addresses")
  exec 9>"$dir/lock"
  flock 9
  node=$(($(cat "$dir/next" 2>/dev/null || echo 0) % nodes + 1))
  echo $node >"$dir/next"
  pid=$(cat "$dir/$node/pid")
  kill -9 "$pid" || { echo "node $node had ended by itself" | tee -a "$dir/crashes"; exit 1; }
  gone "$pid"
  sleep "$1"
  run $node 9>&-
  answers $node
  well
  echo "$(date +%T.%N) node $node was killed, and is back" >>"$dir/crashes"
  exec 9>&-
}

case ${1:-} in
start)
  port=$3 nodes=$4 voters= replicas=$(($4 < 3 ? 1 : 3))
  for n in $(seq "$nodes"); do voters+=,$n@127.0.0.1:$((port + nodes - 1 + n)); done
  for n in $(seq "$nodes"); do
    mkdir -p "$dir/$n"
    echo "127.0.0.1:$((port - 1 + n))" >>"$dir/addresses"
    {
      cat <<P
process.roles=broker,controller
node.id=$n
controller.quorum.voters=${voters#,}
listeners=PLAINTEXT://127.0.0.1:$((port - 1 + n)),CONTROLLER://127.0.0.1:$((port + nodes - 1 + n))
controller.listener.names=CONTROLLER
http.listener=
log.dirs=$dir/$n/data
offsets.topic.replication.factor=$replicas
group.initial.rebalance.delay.ms=0
P
      [ $replicas = 1 ] || printf '%s\n' default.replication.factor=3 min.insync.replicas=2
      printf '%s\n' "${@:5}" | sed "s/#node/$n/g"
    } >"$dir/$n/server.properties"
    run "$n"
  done
  for n in $(seq "$nodes"); do answers "$n"; done
  well
  paste -sd, "$dir/addresses" ;;
crash) crash "${3:-0}" ;;
kill-each)
  while sleep "$3"; do (crash "$4"); done ;;
stop)
  status=0
  for n in "$dir"/[0-9]*; do kill "$(cat "$n/pid")" || status=1; done
  for n in "$dir"/[0-9]*; do gone "$(cat "$n/pid")"; done
  exit $status ;;
*) sed -n 2,10p "$0"; exit 2 ;;
esac
