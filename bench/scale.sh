#!/usr/bin/env bash
# What cai costs on large jobs, against a fake server: memory for 10,000 and for
# PAIRS pairs, and the time until the first question on a store of 8 judgments a
# pair, where one of the first 1,000 pairs is open and where only the last are.
#
#   bench/scale.sh [PAIRS]        1,250,000 make 10,000,000 judgments; about 6 GB in $TMPDIR
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-1250000}
box=$(mktemp -d)
trap 'kill "$fake" 2>/dev/null || true; rm -rf "$box"' EXIT
go build -o "$box/cai" .
go build -o "$box/scale" ./bench/scale
go build -o "$box/fakeollama" ./bench/fakeollama
"$box/fakeollama" -addr 127.0.0.1:0 >"$box/addr" &
fake=$!
until [ -s "$box/addr" ]; do sleep 0.1; done
cd "$box"
export CAI_MODEL=judge:1b
host=$(cat addr)
export CAI_CONSTITUTION=four.toml
echo 'name = "four"' >four.toml
for p in honest kind useful safe; do
    printf '\n[[principle]]\nid = "%s"\ntitle = "%s"\ncritique = "Say where the reply is not %s."\nrevision = "Rewrite the reply so that it is %s."\ncompare = "Which reply is more %s?"\ntags = []\nweight = 1.0\n' \
        $p $p $p $p $p >>four.toml
done
./scale pairs -n "$pairs" >pairs.jsonl
head -n 10000 pairs.jsonl >few.jsonl
sleep 1
first() { ./scale first -host "$host" ./cai label --json "$@" >/dev/null; }
echo "10,000 pairs, the first 2,000 judged:" >&2
first --db few.db --limit 2000 few.jsonl
echo "$pairs pairs, the first 2,000 judged:" >&2
first --db cai.db --limit 2000 pairs.jsonl
for from in -100 500; do
    ./scale fill -db cai.db -from $from -pairs 100
    first --db cai.db pairs.jsonl
done
for command in status labels 'constitution stats'; do
    echo "$command:" >&2
    ./scale first -host "$host" ./cai $command --db cai.db --json >/dev/null
done
