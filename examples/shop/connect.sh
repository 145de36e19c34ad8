#!/usr/bin/env bash
# The shop with its data in PostgreSQL and its search in OpenSearch, on a fresh node of bin/weir that runs the connectors. Starts all of
# them by itself, on free ports and with their files in a folder that is deleted, and kills the node once in between.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
initdb=$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -1) || true
[ -n "$initdb" ] || missing+=("PostgreSQL: apt-get install postgresql")
command -v java >/dev/null || missing+=("Java for OpenSearch, 17 or newer: apt-get install openjdk-17-jdk-headless")
command -v mvn >/dev/null || missing+=("Maven, which fetches OpenSearch: apt-get install maven")
[ -x bin/weir ] || missing+=("bin/weir: make build")
if [ ${#missing[@]} -gt 0 ]; then
  printf 'missing: %s\n' "${missing[@]}" >&2
  exit 3
fi
postgres=$(dirname "$initdb")
test/opensearch/run.sh fetch

work=$(mktemp -d)
node= database= search= killer= shop=
finish() {
  status=$?
  for process in $shop $killer $node $search; do kill "$process" 2>/dev/null || true; done
  [ -z "$database" ] || kill -QUIT "$database" 2>/dev/null || true
  wait || true
  [ $status = 0 ] || { echo "The last words of the node, of PostgreSQL and of OpenSearch:"; tail -n 15 "$work/node.log" "$work/postgres.log" "$work/search.log" 2>/dev/null; }
  rm -rf "$work"
  exit $status
}
trap finish EXIT

go build -o "$work/shop" ./examples/shop
# free gives a port that nobody uses.
free() { "$work/shop" port; }

export SHOP_POSTGRES_PASSWORD=sesame
# PostgreSQL refuses to be root's.
mkdir "$work/postgres"
echo "$SHOP_POSTGRES_PASSWORD" >"$work/password"
as=()
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$work"
  chown postgres "$work/postgres"
  as=(setpriv --reuid=postgres --regid=postgres --init-groups)
fi
port=$(free)
export SHOP_POSTGRES_PORT=$port
(cd "$work/postgres" && "${as[@]}" "$postgres/initdb" -D "$work/postgres/data" -U postgres -A scram-sha-256 --pwfile="$work/password" -E UTF8 --locale=C.UTF-8 --no-sync) >"$work/postgres.log" 2>&1
(cd "$work/postgres" && exec "${as[@]}" "$postgres/postgres" -D "$work/postgres/data" -c port="$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c wal_level=logical) >>"$work/postgres.log" 2>&1 &
database=$!

port=$(free)
export SHOP_SEARCH_URL=http://127.0.0.1:$port
test/opensearch/run.sh serve "$work/search" "$port" "transport.port=$(free)" >"$work/search.log" 2>&1 &
search=$!

# ${env:NAME} in a connector's configuration is looked up where it runs.
printf 'config.providers=env\nconfig.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\n' >"$work/worker.properties"
kafka=127.0.0.1:$(free) rest=127.0.0.1:$(free)
serve() {
  exec bin/weir serve --set "log.dirs=$work/data" --set "listeners=PLAINTEXT://$kafka" --set http.listener= --set group.initial.rebalance.delay.ms=0 \
    --set "connect.listener=$rest" --set "connect.config=$work/worker.properties" >>"$work/node.log" 2>&1
}
serve &
node=$!

# kill_node kills the node when orders come in, and starts it again.
kill_node() {
  trap 'exit 0' TERM
  until grep -q 'Orders come in' "$work/shop.log" 2>/dev/null; do sleep 0.02; done
  sleep 1
  kill -9 "$node"
  sleep 1
  echo "The node was killed (kill -9), and its connectors with it. It is started again."
  serve &
  started=$!
  trap 'kill $started; wait $started; exit 0' TERM
  wait $started
}
kill_node &
killer=$!

export WEIR_CONNECT_URL=http://$rest
"$work/shop" -bootstrap-server "$kafka" connect > >(tee "$work/shop.log") &
shop=$!
wait $shop
