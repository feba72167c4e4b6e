#!/usr/bin/env bash
# The main job on the files of examples/, with a real local model: critique,
# revise, label, train, score. What it makes is in out/demo; started again, it
# goes on from there and asks nothing twice. Remove out/demo to start afresh.
#
# CAI_DEMO_MODEL   the model (default smollm2:135m, the smallest that chats).
#                  qwen2.5-coder:0.5b and :1.5b can be fetched, too; any other has
#                  to be in the server.
# CAI_DEMO_PAIRS   pairs to label (default 48; there are 72)
# OLLAMA_HOST      a server to use; else a local one, else one is built and started
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

model=${CAI_DEMO_MODEL:-smollm2:135m}
pairs=${CAI_DEMO_PAIRS:-48}
principles=(overall truth safety directness)
out=out/demo
cai=$PWD/bin/cai
cache=${CAI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cai}
started=$SECONDS

step() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - started)); }
show() { printf '$ cai'; printf ' %s' "$@"; printf '\n'; }

# cai runs a command as the reader would type it. Code 3 says that some items
# failed; they were listed, and the rest is good.
run() {
    show "$@"
    local code=0
    "$cai" "$@" || code=$?
    if [ $code != 0 ] && [ $code != 3 ]; then
        [ $code = 130 ] || echo "demo: cai $1 ended with $code" >&2
        exit $code
    fi
}

cat <<TEXT
The main job of cai with $model, on our own examples.
It needs an Ollama server and the model. Where they are missing, the server is
built from source (3 to 5 minutes) and the model fetched, once, into a cache
outside this folder: $cache
The job itself takes 2 to 5 minutes.
TEXT

step "server and model"
vars=$(scripts/ollama.sh start)
eval "$vars"
if [ "$CAI_OLLAMA_STARTED" = 1 ]; then trap 'scripts/ollama.sh stop' EXIT; fi
if grep -q "^$model	" scripts/models.tsv; then scripts/ollama.sh model "$model"; fi
read -r threads speed < <(scripts/speed.py "$OLLAMA_HOST" "$model")
echo "$model reads $speed tokens a second here with $threads threads"

mkdir -p "$out"
export CAI_DB=$out/cai.db CAI_MODEL=$model
common=(--option "num_thread=$threads")
named=()
for p in "${principles[@]}"; do named+=(--principle "$p"); done

step "critique: what is wrong with a mail, and with 24 replies?"
run critique "${common[@]}" --principle overall --max-tokens 60 examples/email.md
head -n 24 examples/replies.jsonl >"$out/replies.jsonl"
run critique "${common[@]}" --principle overall --max-tokens 60 --out "$out/critiques.jsonl" "$out/replies.jsonl"

step "revise: six of them, kept only if the judge prefers the new reply in both orders"
head -n 6 examples/replies.jsonl >"$out/revise.jsonl"
revise=(revise "${common[@]}" "${named[@]}" --rounds 1 --threshold 0 --max-tokens 160)
run "${revise[@]}" --diff "$out/revise.jsonl"
echo
echo "the same again, as a file: every answer is in the store, so nothing is asked"
run "${revise[@]}" --out "$out/revisions.jsonl" "$out/revise.jsonl"

step "label: which reply of each pair is better, under ${#principles[@]} principles, in both orders?"
run label "${common[@]}" "${named[@]}" --limit "$pairs" examples/pairs.jsonl
run labels --min-coverage 0 "${named[@]}" --out "$out/labels.jsonl"
run export --min-coverage 0 "${named[@]}" --format trl --out "$out/trl.jsonl"

step "calibrate: how far to trust that judge, by our own labels of these pairs?"
run calibrate --min-coverage 0 "${named[@]}" --judge "$model" --gold examples/pairs.jsonl --card "$out/judge.html"

step "train: a reward model of these labels, offline"
run train --min-coverage 0 "${named[@]}" --holdout 0.3 --out "$out/rm.safetensors"

step "score: the replies, and the pairs against our own choice"
run score --rm "$out/rm.safetensors" --out "$out/scores.jsonl" examples/replies.jsonl
run eval --rm "$out/rm.safetensors" examples/pairs.jsonl

step "audit: what would this model do if something were optimised against it? (the verdicts; the rest is in the card)"
run audit --rm "$out/rm.safetensors" --card "$out/audit.html" examples/pairs.jsonl | awk '!NF { rest = 1 } !rest'

step "done"
size=$(python3 scripts/models.py size "$model" "$OLLAMA_HOST")
"$cai" status
cat <<TEXT

What was made, in $out:
$(cd "$out" && for f in critiques.jsonl revisions.jsonl labels.jsonl trl.jsonl scores.jsonl; do
    printf '  %-18s %s lines\n' "$f" "$(grep -c '' "$f")"; done
  printf '  %-18s %s\n' judge.html "the judge's card, for a browser" audit.html "the reward model's"
  printf '  %-18s %s kB\n' rm.safetensors $(($(wc -c <rm.safetensors) / 1000)) cai.db $(($(wc -c <cai.db) / 1000)))

The figures above say how far to trust it. Where the judge is at chance, so are its
labels and whatever is trained on them; a model of $size often is. Try a
larger one, here or on your own files:
  CAI_DEMO_MODEL=qwen2.5-coder:1.5b make demo      (some 15 minutes)
  bin/cai label --model NAME yours.jsonl
TEXT
