#!/usr/bin/env bash
# What other programs make of files that cai convert writes: Hugging Face datasets
# and pyarrow, installed into a throwaway environment. Nothing here is needed by
# cai itself.
#
#   bench/consumers/check.sh [CAI]      default: bin/cai
set -euo pipefail
cai=$(realpath "${1:-bin/cai}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if [ -n "${CAI_CONSUMERS_ENV:-}" ]; then
    python=$CAI_CONSUMERS_ENV/bin/python
else
    python3 -m venv "$dir/env"
    "$dir/env/bin/pip" install -q datasets pyarrow
    python=$dir/env/bin/python
fi
cat >"$dir/pairs.jsonl" <<'DATA'
{"id":"x1","prompt":"Why is the sky blue?","response_a":"Scattering.","response_b":"Paint.","model_a":"m1","model_b":"m2","label":"a","topic":"sky"}
{"id":"x2","prompt":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Yes?"},{"role":"user","content":"Tea é"}],"response_a":"","response_b":"Green 🙂","label":"b"}
DATA
for format in trl trl-conversational hh kto rewardbench rewardbench2 nemo openrlhf ultrafeedback alpaca judgebench llmbar prometheus hhh pandalm; do
    for ext in jsonl parquet; do
        "$cai" convert --quiet --to "$format" "$dir/pairs.jsonl" "$dir/$format.$ext"
    done
done
HF_HOME=$dir/hf HF_DATASETS_OFFLINE=1 "$python" "$here/check.py" "$dir"
