#!/usr/bin/env bash
# What other programs make of files that cai convert writes and of cai serve, and what
# cai makes of theirs: Hugging Face datasets, pyarrow, TRL, rewardbench, OpenRLHF and
# requests, installed into a throwaway environment. Nothing here is needed by cai
# itself.
#
#   bench/consumers/check.sh [CAI]      default: bin/cai
#
# CAI_CONSUMERS_ENV names an environment that has them already.
set -euo pipefail
cai=$(realpath "${1:-bin/cai}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if [ -n "${CAI_CONSUMERS_ENV:-}" ]; then
    python=$CAI_CONSUMERS_ENV/bin/python
else
    python3 -m venv "$dir/env"
    # TRL, rewardbench and OpenRLHF ask for torch, which what is called here does not use.
    "$dir/env/bin/pip" install -q datasets pyarrow transformers jinja2 pandas aiohttp requests
    "$dir/env/bin/pip" install -q --no-deps trl accelerate rewardbench openrlhf
    python=$dir/env/bin/python
fi
export HF_HOME=$dir/hf HF_DATASETS_OFFLINE=1 HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error

cat >"$dir/pairs.jsonl" <<'DATA'
{"id":"x1","prompt":"Why is the sky blue?","response_a":"Scattering.","response_b":"Paint.","model_a":"m1","model_b":"m2","label":"a","topic":"sky"}
{"id":"x2","prompt":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Yes?"},{"role":"user","content":"Tea é"}],"response_a":"","response_b":"Green 🙂","label":"b"}
{"id":"x3","prompt":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"},{"role":"user","content":"Three?"}],"response_a":"Four\n","response_b":"Why?","label":"a"}
DATA
cat >"$dir/want.jsonl" <<'DATA'
{"prompt":[{"role":"user","content":"Why is the sky blue?"}],"chosen":"Scattering.","rejected":"Paint."}
{"prompt":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Yes?"},{"role":"user","content":"Tea é"}],"chosen":"Green 🙂","rejected":""}
{"prompt":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"},{"role":"user","content":"Three?"}],"chosen":"Four\n","rejected":"Why?"}
DATA
for format in trl trl-conversational hh kto sft rewardbench rewardbench2 nemo openrlhf ultrafeedback alpaca judgebench llmbar prometheus hhh pandalm; do
    for ext in jsonl parquet; do
        "$cai" convert --quiet --to "$format" "$dir/pairs.jsonl" "$dir/$format.$ext" 2>"$dir/said" || { cat "$dir/said" >&2; exit 1; }
    done
done
"$python" "$here/check.py" "$dir"
"$python" "$here/trainers.py" "$dir"
mkdir "$dir/hfparquet"
"$python" "$here/hfparquet.py" "$cai" "$dir/hfparquet"

"$cai" train --quiet --data "$here/../../examples/pairs.jsonl" --seed 1 --out "$dir/rm.safetensors" >/dev/null
cat >"$dir/replies.jsonl" <<'DATA'
{"id":1,"prompt":"May I feed ducks bread?","response":"Better oats or peas: bread fills them and feeds them badly."}
{"id":2,"prompt":"May I feed ducks bread?","response":"No."}
{"id":3,"prompt":"Tea é 🙂?","response":"Green tea, at 80 °C,\n\nfor two minutes."}
{"id":4,"prompt":"Empty?","response":""}
DATA
"$python" "$here/clients.py" "$cai" "$dir"
