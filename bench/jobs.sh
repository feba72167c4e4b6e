#!/usr/bin/env bash
# Seconds that cai label takes by --jobs, on fake servers: one that keeps one
# prompt cached and computes one call at a time (Ollama on a CPU), the same with
# four slots, and one that answers 32 calls at once in 50 ms each. auto should be
# within 5 % of the best.
#
#   bench/jobs.sh [PAIRS]
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-300}
box=$(mktemp -d)
trap 'rm -rf "$box"; [ -z "${server:-}" ] || kill "$server"' EXIT
go build -o "$box/cai" .
go build -o "$box/fakeollama" ./bench/fakeollama
story=$(printf 'The garden was dry and the well was far. %.0s' $(seq 30))
for i in $(seq "$pairs"); do
    echo "{\"prompt\":\"Question $i? $story\",\"chosen\":\"A careful answer $i, please. $story\",\"rejected\":\"A stupid answer $i.\"}"
done >"$box/pairs.jsonl"
cd "$box"
for mode in "-one-core -parallel 1 -prompt-time 20us" "-one-core -parallel 4 -prompt-time 20us" "-parallel 32 -latency 50ms"; do
    ./fakeollama -addr 127.0.0.1:0 $mode >address &
    server=$!
    until [ -s address ]; do sleep 0.05; done
    echo "fakeollama $mode"
    for jobs in ${JOBS:-1 2 8 32 64 auto}; do
        rm -f x.db*
        ./cai label --json --quiet --db x.db --host "$(cat address)" --model judge:1b --jobs "$jobs" \
            --principle overall --principle safety --principle truth --principle tag:privacy pairs.jsonl |
            sed "s/.*\"calls\":\([0-9]*\).*\"seconds\":\([0-9.]*\).*/  --jobs $jobs: \1 calls, \2 s/"
    done
    kill "$server"; wait "$server" 2>/dev/null || true
    server=
    : >address
done
