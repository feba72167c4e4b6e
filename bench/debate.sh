#!/usr/bin/env bash
# Debates over the first pairs of a file that people labelled, and their
# baselines, with a real model: accuracy, same-slot rate, ECE and seconds a pair
# of each protocol, with paired tests.
#
#   bench/debate.sh FILE [PAIRS [MODEL [PROTOCOL…]]]
#
# WORDS (default 60) and ROUNDS (default 1) are those of a debate, DB the
# database to go on with (default: one that is thrown away), THREADS (default 1)
# how many the server may use. It uses the server that scripts/ollama.sh finds or
# starts.
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:?usage: bench/debate.sh FILE [PAIRS [MODEL [PROTOCOL…]]]}
pairs=${2:-10}
model=${3:-qwen2.5-coder:1.5b}
shift $(($# > 3 ? 3 : $#))
[ $# -gt 0 ] || set -- full sequential consultancy blind
[ -r "$file" ] || { echo "skipped: $file is not there"; exit 0; }

make -s build
eval "$(scripts/ollama.sh start)"
box=$(mktemp -d)
trap 'rm -rf "$box"; [ "$CAI_OLLAMA_STARTED" = 0 ] || scripts/ollama.sh stop' EXIT
scripts/ollama.sh model "$model"
db=${DB:-$box/cai.db}
judges=()
for p in "$@"; do
    bin/cai debate --db "$db" --model "$model" --option "num_thread=${THREADS:-1}" --protocol "$p" \
        --rounds "${ROUNDS:-1}" --words "${WORDS:-60}" --jobs 1 --limit "$pairs" --json "$file" >"$box/$p.json" || [ $? = 3 ]
    cat "$box/$p.json"
    judges+=(--judge "$(sed -n 's/.*"judge":"\([0-9a-f]*\)".*/\1/p' "$box/$p.json")")
done
bin/cai calibrate --db "$db" --gold "$file" --principle overall "${judges[@]}"
