#!/usr/bin/env bash
# Trains a reward model on preference files and prints its figures, the wall
# time and the peak memory.
#
#   bench/train.sh FILE…
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: bench/train.sh FILE…" >&2; exit 2; }
data=()
for f in "$@"; do
    [ -r "$f" ] || { echo "skipped: $f is not there"; exit 0; }
    data+=(--data "$f")
done
make -s build
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
python3 - bin/cai train "${data[@]}" --out "$box/rm.safetensors" --json <<'PY'
import resource, subprocess, sys, time
start = time.monotonic()
done = subprocess.run(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"wall {time.monotonic() - start:.1f} s, CPU {peak.ru_utime + peak.ru_stime:.1f} s, peak memory {peak.ru_maxrss / 1024:.0f} MB")
sys.exit(done.returncode)
PY
ls -l "$box/rm.safetensors" | awk '{print "model file: " $5 " bytes"}'
