#!/usr/bin/env bash
# The checks, one step after the other; the first that fails ends it.
#
#   scripts/test.sh              build, lint, unit and race, as make test and CI do
#   scripts/test.sh STEP …       some: build, lint, unit, race, fuzz
#   scripts/test.sh fmt          formats the code
#
# unit runs every test in full; race runs them again with the race detector, which
# makes them about ten times as slow, and therefore with -short: fewer cases and
# smaller samples of the same. What both do depends on the code alone: properties
# draw from a fixed seed and fuzz targets run their seeds. fuzz, which make test
# leaves out, looks for new inputs.
#
# race needs a real Ollama: one is found, or built and started, and two small models
# are fetched into it, by scripts/ollama.sh. If that cannot be done the step
# fails; it never skips.
#
# FUZZTIME      how long each fuzz target runs (default 5s)
# RAPID_SEED    what properties draw their cases from (default 1; 0 is another each
#               time, as with go test by itself)
# RAPID_CHECKS  cases of each property (default 100), of which race takes a fifth
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.1
gofumpt=mvdan.cc/gofumpt@v0.12.0
models=(smollm2:135m all-minilm) # one that chats and one that embeds

say() { printf '\n== %s\n' "$*"; }

step_build() {
    mkdir -p bin
    CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/cai .
    CGO_ENABLED=0 go build -trimpath ./... # as above, or SQLite would be compiled twice
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

export RAPID_SEED=${RAPID_SEED:-1} RAPID_NOFAILFILE=${RAPID_NOFAILFILE:-1}

step_unit() { go test -vet=off ./...; } # lint has vetted

# The transpiled SQLite is not instrumented: it takes two thirds of the time where it
# is, and its races are not ours to find. No more than its lib may be left out:
# generic code that the other packages of modernc.org instantiate would then be
# linked without instrumentation for all, and races be seen where there are none.
race=(-race -short -vet=off '-gcflags=modernc.org/sqlite/lib=-race=false' -timeout 35m)

# race runs every test with the race detector, those against a real server too. The
# detector sleeps for a second at the end of a process, of which the scripts start
# some hundreds.
step_race() {
    export CAI_OLLAMA=own CAI_OLLAMA_RUN=$PWD/bin/run
    mkdir -p bin/run
    local vars
    vars=$(scripts/ollama.sh start)
    eval "$vars"
    if [ "$CAI_OLLAMA_STARTED" = 1 ]; then trap 'scripts/ollama.sh stop' EXIT; fi
    scripts/ollama.sh model "${models[@]}"
    CAI_TEST_OLLAMA=$OLLAMA_HOST GORACE="atexit_sleep_ms=0 ${GORACE:-}" go test "${race[@]}" ./...
    if [ "$CAI_OLLAMA_STARTED" = 1 ]; then scripts/ollama.sh stop; trap - EXIT; fi
}

# fuzz runs each fuzz target for a while.
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

[ $# -gt 0 ] || set -- build lint unit race
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
