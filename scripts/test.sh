#!/usr/bin/env bash
# The checks, one step after the other; the first that fails ends it.
#
#   scripts/test.sh              all of them, as make test and CI do
#   scripts/test.sh STEP …       some: build, lint, unit, race, fuzz
#   scripts/test.sh fmt          formats the code
#
# race needs a real Ollama: one is found, or built and started, and two small models
# are fetched into it, by scripts/ollama.sh. If that cannot be done the step
# fails; it never skips.
#
# FUZZTIME      how long each fuzz target runs (default 5s)
# RAPID_CHECKS  cases of each property under the race detector (default 50; go test
#               by itself takes 100)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.1
gofumpt=mvdan.cc/gofumpt@v0.12.0
models=(smollm2:135m all-minilm) # one that chats and one that embeds

say() { printf '\n== %s\n' "$*"; }

step_build() {
    mkdir -p bin
    CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/cai .
    CGO_ENABLED=0 go build ./...
    echo "bin/cai: $(($(wc -c <bin/cai) / 1000000)) MB"
}

step_lint() {
    go vet ./...
    go run "$staticcheck" ./...
    local bad
    bad=$(git ls-files -z '*.go' | xargs -0 go run "$gofumpt" -l)
    if [ -n "$bad" ]; then
        echo "not formatted (make fmt mends it):" >&2
        echo "$bad" >&2
        return 1
    fi
    go mod tidy -diff >/dev/null || { echo "go.mod is not tidy: go mod tidy" >&2; return 1; }
    go mod verify >/dev/null
}

step_unit() { go test ./...; }

# race runs every test with the race detector, those against a real server too.
step_race() {
    export CAI_OLLAMA=own CAI_OLLAMA_RUN=$PWD/bin/run
    mkdir -p bin/run
    local vars
    vars=$(scripts/ollama.sh start)
    eval "$vars"
    if [ "$CAI_OLLAMA_STARTED" = 1 ]; then trap 'scripts/ollama.sh stop' EXIT; fi
    scripts/ollama.sh model "${models[@]}"
    CAI_TEST_OLLAMA=$OLLAMA_HOST RAPID_CHECKS=${RAPID_CHECKS:-50} go test -race -timeout 35m ./...
    if [ "$CAI_OLLAMA_STARTED" = 1 ]; then scripts/ollama.sh stop; trap - EXIT; fi
}

# fuzz runs each fuzz target for a short while.
step_fuzz() {
    local targets file name log=bin/fuzz.log
    mkdir -p bin
    targets=$(git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go') || { echo "no fuzz target" >&2; return 1; }
    while IFS=: read -r file name; do
        name=${name#func }
        if ! go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-5s}" "./$(dirname "$file")" >"$log" 2>&1; then
            cat "$log" >&2
            return 1
        fi
        printf '%-12s %-24s %s\n' "$(dirname "$file")" "$name" "$(grep -oE 'execs: [0-9]+' "$log" | tail -n 1)"
    done <<<"$targets"
}

step_fmt() { git ls-files -z '*.go' | xargs -0 go run "$gofumpt" -w; }

[ $# -gt 0 ] || set -- build lint race fuzz
for step in "$@"; do
    declare -F "step_$step" >/dev/null || { echo "no step $step: build, lint, unit, race, fuzz, fmt" >&2; exit 2; }
done
all=$SECONDS
for step in "$@"; do
    say "$step"
    started=$SECONDS
    "step_$step"
    echo "$step: $((SECONDS - started)) s"
done
say "all well: $* ($((SECONDS - all)) s)"
