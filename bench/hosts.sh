#!/usr/bin/env bash
# Judgments a second of two fake hosts of different speed, each alone and both
# together, in turn, three times: together they should reach 95 % of the sum.
#
#   bench/hosts.sh [PAIRS]
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-400}
box=$(mktemp -d)
trap 'rm -rf "$box"; kill "${a:-}" "${b:-}" 2>/dev/null || true' EXIT
go build -o "$box/cai" .
go build -o "$box/fakeollama" ./bench/fakeollama
for i in $(seq "$pairs"); do
    echo "{\"prompt\":\"Question $i?\",\"chosen\":\"A careful answer $i, please.\",\"rejected\":\"A stupid answer $i.\"}"
done >"$box/pairs.jsonl"
cd "$box"
./fakeollama -addr 127.0.0.1:0 -parallel 4 -latency 50ms >a & a=$!
./fakeollama -addr 127.0.0.1:0 -parallel 2 -latency 80ms >b & b=$!
until [ -s a ] && [ -s b ]; do sleep 0.05; done
rate() { # judgments a second of a run with the arguments
    rm -f x.db*
    ./cai label --json --quiet --db x.db --model judge:1b --jobs "${JOBS:-auto}" "$@" --principle overall --principle safety pairs.jsonl |
        sed 's/.*"judgments":\([0-9]*\).*"seconds":\([0-9.]*\).*/\1 \2/' | awk '{ printf "%.2f", $1 / $2 }'
}
for run in 1 2 3; do
    fast=$(rate --host "$(cat a)")
    slow=$(rate --host "$(cat b)")
    both=$(rate --host "$(cat a)" --host "$(cat b)")
    echo "$fast $slow $both" | awk '{ printf "%s/s and %s/s alone, %s/s together: %.3f of the sum\n", $1, $2, $3, $3 / ($1 + $2) }'
done
