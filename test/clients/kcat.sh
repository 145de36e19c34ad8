#!/usr/bin/env bash
# The everyday story told with kcat: kcat.sh HOST:PORT,... See README.md.
set -euo pipefail
kcat="kcat -b $1 -q"
topic=kcat
echo "# producing"
printf 'anna:2 candles\nbert:1 kettle\ncarla:3 lanterns\n' | $kcat -P -t $topic -p 0 -K : -H source=story
for codec in gzip snappy lz4 zstd; do echo "packed by $codec" | $kcat -P -t $topic -p 0 -z $codec; done
echo "for nobody" | $kcat -P -t 'no spaces' 2>&1 | sed 's/.*: //' || true
printf 'anna\n' | $kcat -P -t $topic -p 0 -Z -K : # a null value
echo "# reading"
$kcat -C -t $topic -p 0 -e -f '%o %k [%s] %S %h\n'
$kcat -C -t $topic -p 0 -o 2 -c 1 -f '%o %s\n'
$kcat -C -t $topic -p 0 -o -1 -e -f '%o %s\n'
$kcat -C -t $topic -p 0 -o s@0 -c 1 -f '%o %s\n'
echo "# offsets"
$kcat -Q -t $topic:0:-1 -t $topic:0:-2
echo "# a group"
timeout 60 $kcat -G kcat-group -X auto.offset.reset=earliest -c 5 -f '%o %s\n' $topic
timeout 60 $kcat -G kcat-group -X auto.offset.reset=earliest -e -f '%o %s\n' $topic
echo "# metadata"
brokers=$(tr , '\n' <<<"$1" | wc -l)
for _ in $(seq 300); do
  told=$($kcat -L -t $topic)
  [[ $told != *" $brokers brokers:"* ]] || break
  sleep 0.1 # one is not there
done
echo "$told" | grep -v 'Metadata for'
