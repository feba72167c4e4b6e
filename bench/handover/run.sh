#!/bin/sh
# Trains models of every head on public preference data, hands them over, scores
# real replies by cai and by the exported readers, and prints the largest
# differences. With the modules onnx and onnxruntime for PYTHON the ONNX graph is
# checked and run too; without them that line says so.
#
#	bench/handover/run.sh DATA [REPLIES]
#
# DATA is a folder with hh_harmless_train.jsonl.gz; REPLIES (2000) is how many
# replies are scored. Environment: CAI (go run .), PYTHON (python3).
set -eu
data=$1 n=${2:-2000} cai=${CAI:-go run .} py=${PYTHON:-python3}
here=$(dirname "$0")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$py" "$here/check.py" replies "$data/hh_harmless_train.jsonl.gz" "$n" "$tmp"
try() {
	name=$1
	shift
	$cai train --quiet --data "$tmp/pairs.jsonl" --seed 1 --out "$tmp/$name.safetensors" "$@" >/dev/null
	$cai model verify --quiet "$tmp/$name.safetensors" --data "$tmp/pairs.jsonl"
	$cai score --quiet --rm "$tmp/$name.safetensors" --out "$tmp/$name.jsonl" "$tmp/replies.jsonl"
	$cai export --quiet --rm "$tmp/$name.safetensors" --format python --out "$tmp/$name"
	"$py" "$here/check.py" python "$name" "$tmp/$name" "$tmp/$name.jsonl"
}
try linear
try chars --features hash,style,chars
try ensemble --ensemble 4
try mlp --head mlp
try stack --head stack
try style --features style
$cai export --quiet --rm "$tmp/style.safetensors" --format onnx --out "$tmp/graph"
"$py" "$here/check.py" onnx style "$tmp/style" "$tmp/graph" "$tmp/style.jsonl"
