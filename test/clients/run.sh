#!/usr/bin/env bash
# Other people's clients: each tells its everyday story to a fresh node and to a fresh Apache Kafka, and prints what it
# saw. Both accounts must be the same, but for what differences.txt lists.
#   run.sh [CLIENT...]     all of them, or those named (README.md has the names)
#   NODES=3 run.sh ...     to clusters of three nodes
#   NODES=3 KILL_EACH=20 run.sh ...  to a cluster of which one node is killed every 20 seconds, the next in turn, and started
#                          again DOWN (2) seconds later; and to a cluster that is left alone, in place of Apache Kafka
# What this machine has no language for is left out, and said so; with CLIENTS_REQUIRED=1 that is a failure.
# ACCOUNTS=DIR keeps what each client printed, DIR/CLIENT.weir and DIR/CLIENT.kafka, or DIR/CLIENT.calm, and what Weir's nodes
# did in DIR/weir.
set -euo pipefail
cd "$(dirname "$0")"
[ -x ../../bin/weir ] || { echo "bin/weir is missing: run make build"; exit 1; }
export NODES=${NODES:-1}
work=$(mktemp -d)
accounts=${ACCOUNTS:-$work}
mkdir -p "$accounts"
export CLIENTS_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/weir
port=$((20000 + RANDOM % 10000))
killer=
cleanup() {
  [ -z "$killer" ] || kill -- -"$killer" 2>/dev/null || true
  for cluster in weir calm; do [ ! -e "$work/$cluster" ] || ./weir.sh stop "$work/$cluster" 2>/dev/null || true; done
  [ ! -e "$work/kafka/pid" ] || java/kafka.sh stop "$work/kafka"
  if [ "$accounts" != "$work" ]; then
    rm -rf "$accounts/weir"
    mv "$work/weir" "$accounts"
  fi
  rm -rf "$work"
}
trap cleanup EXIT

# What the clients get: the addresses of the brokers, and what kills one and starts it again.
weir=$(./weir.sh start "$work/weir" $port "$NODES")
cat >"$work/restart-weir" <<S
#!/usr/bin/env bash
exec setsid -w "$PWD/weir.sh" crash "$work/weir"
S
cat >"$work/restart-calm" <<S
#!/usr/bin/env bash
exec setsid -w "$PWD/weir.sh" crash "$work/calm"
S
kafka=127.0.0.1:$((port + 20))
for n in $(seq 2 "$NODES"); do kafka+=,127.0.0.1:$((port + 19 + n)); done
cat >"$work/restart-kafka" <<S
#!/usr/bin/env bash
exec setsid -w "$PWD/java/kafka.sh" start "$work/kafka" $((port + 20))
S
chmod +x "$work"/restart-*

left_out=0 passed=0 failed=0 other=
: >"$work/differences"
skip() { echo "left out: $1 ($2 is not on this machine)"; left_out=$((left_out + 1)); }
wanted=" $* "
selected() { [[ $wanted == "  " || $wanted == *" $1 "* ]]; }

normalise=(-f normalise.sed)
[ "$NODES" = 1 ] || normalise+=(-f normalise-cluster.sed)

# tell CLIENT COMMAND...: runs the command, with the address of a broker and what kills and restarts it at its end, for each
# broker, and compares what they print.
tell() {
  local client=$1 seconds=$SECONDS broker pids=() ended=
  shift
  for broker in $brokers; do
    timeout 300 "$@" "${!broker}" "$work/restart-$broker" >"$accounts/$client.$broker" 2>"$accounts/$client.$broker.err" &
    pids+=($!)
  done
  for broker in $brokers; do
    if ! wait "${pids[0]}"; then
      ended=1
      echo "FAIL $client against $broker; the end of what it printed:"
      tail -n 30 "$accounts/$client.$broker" "$accounts/$client.$broker.err"
      failed=$((failed + 1))
    fi
    sed -i -E "${normalise[@]}" "$accounts/$client.$broker"
    pids=("${pids[@]:1}")
  done
  [ -z "$ended" ] || return 0
  if [ "$brokers" = weir ]; then echo "$client: told to weir"; passed=$((passed + 1)); return; fi
  diff "$accounts/$client.$other" "$accounts/$client.weir" | grep '^[<>]' | sed "s/^/$client /" >"$work/new" || true
  cat "$work/new" >>"$work/differences"
  if grep -vxE -f <(known) "$work/new" >"$work/unexpected"; then
    echo "FAIL $client: $other says '-', weir says '+'"
    diff -U2 -F '^\$' "$accounts/$client.$other" "$accounts/$client.weir" | tail -n +3 || true
    echo "of these are not listed in differences.txt:"
    cat "$work/unexpected"
    failed=$((failed + 1))
  else
    echo "$client: $(wc -l <"$accounts/$client.$other") lines, $(wc -l <"$work/new") known differences, $((SECONDS - seconds)) s"
    passed=$((passed + 1))
  fi
}

# known prints what may differ: nothing, between two clusters of Weir.
known() {
  [ $other != calm ] || return 0
  grep -vE '^(#|$)' differences.txt
  [ "$NODES" = 1 ] || grep -vE '^(#|$)' differences-cluster.txt
}

java=
if command -v mvn >/dev/null && command -v javac >/dev/null; then
  java=1
  java/kafka.sh libs >/dev/null
  java/run.sh & # compiles what it has not yet, while Apache Kafka starts
  compiling=$!
fi
if [ -n "${KILL_EACH:-}" ]; then
  calm=$(./weir.sh start "$work/calm" $((port + 40)) "$NODES")
  other=calm brokers="weir calm"
  setsid ./weir.sh kill-each "$work/weir" "$KILL_EACH" "${DOWN:-2}" >>"$work/killer" &
  killer=$!
elif [ -n "$java" ]; then
  java/kafka.sh start "$work/kafka" $((port + 20))
  other=kafka brokers="weir kafka"
else
  skip "the comparison with Apache Kafka" "mvn or javac"
  brokers=weir
fi
[ -z "$java" ] || wait $compiling

if selected tools; then
  if [ -n "$java" ]; then tell tools java/run.sh Tools; else skip "Apache Kafka's tools" "mvn or javac"; fi
fi
if selected java; then
  if [ -n "$java" ]; then tell java java/run.sh Everyday; else skip "Apache Kafka's Java clients" "mvn or javac"; fi
fi

for client in franz sarama segmentio; do
  if ! selected $client; then continue
  elif ! command -v go >/dev/null; then skip $client go
  else
    (cd go && go build -o "$work/$client" "./$client")
    tell $client "$work/$client"
  fi
done

python=${XDG_CACHE_HOME:-$HOME/.cache}/weir/python-$(sha256sum <python/requirements.txt | cut -c1-16)
for client in confluent aiokafka; do
  if ! selected $client; then continue
  elif ! command -v python3 >/dev/null; then skip $client python3
  else
    if [ ! -e "$python/.done" ]; then
      python3 -m venv "$python"
      "$python/bin/pip" install --quiet --disable-pip-version-check -r python/requirements.txt
      touch "$python/.done"
    fi
    tell $client "$python/bin/python" python/$client.py
  fi
done

js=${XDG_CACHE_HOME:-$HOME/.cache}/weir/js-$(sha256sum <js/package.json | cut -c1-16)
if selected kafkajs; then
  if command -v npm >/dev/null; then
    if [ ! -e "$js/.done" ]; then
      mkdir -p "$js"
      cp js/package.json "$js"
      npm install --prefix "$js" --no-audit --no-fund --no-package-lock --silent >/dev/null
      touch "$js/.done"
    fi
    NODE_PATH=$js/node_modules tell kafkajs node js/everyday.js
  else skip kafkajs npm; fi
fi

if selected krafka; then
  if command -v cargo >/dev/null; then
    rust=${XDG_CACHE_HOME:-$HOME/.cache}/weir/rust
    CARGO_TARGET_DIR=$rust cargo build --quiet --locked --manifest-path rust/Cargo.toml
    tell krafka "$rust/debug/everyday"
  else skip krafka cargo; fi
fi

if selected kcat; then
  if command -v kcat >/dev/null; then tell kcat ./kcat.sh; else skip kcat kcat; fi
fi

if [ "$wanted" = "  " ] && [ $left_out = 0 ] && [ "$NODES" = 1 ]; then
  while read -r pattern; do
    grep -qxE -e "$pattern" "$work/differences" || { echo "FAIL differences.txt lists what is no difference any more: $pattern"; failed=$((failed + 1)); }
  done < <(grep -vE '^(#|$)' differences.txt)
fi
if [ -n "$killer" ]; then
  echo "$(wc -l <"$work/weir/crashes") times a node was killed"
  if [ -s "$work/killer" ]; then echo "FAIL: $(cat "$work/killer")"; failed=$((failed + 1)); fi
fi
# What nodes say that lose others: that, and what it means; and what they find when they come back.
expected='another node is gone'
[ -z "$killer" ] || expected+="|most of the nodes that keep the cluster's metadata are gone|a coordinator could not write its log|a folder belongs to no topic"
if grep -E 'level=(ERROR|WARN)|panic' "$work"/weir/*/log | grep -vE "$expected"; then echo "FAIL: the nodes complained, see above"; failed=$((failed + 1)); fi
echo "$passed passed, $failed failed, $left_out skipped"
[ $failed = 0 ] && { [ "${CLIENTS_REQUIRED:-}" != 1 ] || [ $left_out = 0 ]; }
