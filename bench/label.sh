#!/usr/bin/env bash
# Labels the first pairs of a preference file with a real model, twice, and
# prints what the first run cost, what its labels are worth against the file's
# own choice, and how many calls the second run made.
#
#   bench/label.sh FILE [PAIRS [MODEL [PRINCIPLE…]]]
#
# THREADS (default 1) is how many the server may use for it. It uses the server that scripts/ollama.sh finds or starts.
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:?usage: bench/label.sh FILE [PAIRS [MODEL [PRINCIPLE…]]]}
pairs=${2:-40}
model=${3:-qwen2.5-coder:1.5b}
shift $(($# > 3 ? 3 : $#))
[ $# -gt 0 ] || set -- overall safety truth personal-data
[ -r "$file" ] || { echo "skipped: $file is not there"; exit 0; }

make -s build
eval "$(scripts/ollama.sh start)"
[ "$CAI_OLLAMA_STARTED" = 0 ] || trap 'scripts/ollama.sh stop' EXIT
scripts/ollama.sh model "$model"
box=$(mktemp -d)
args=()
for p in "$@"; do args+=(--principle "$p"); done
for run in first second; do
    echo "$run run:"
    bin/cai label --db "$box/cai.db" --model "$model" --option "num_thread=${THREADS:-1}" --limit "$pairs" \
        "${args[@]}" --json "$file" || [ $? = 3 ]
done
rm -rf "$box"
