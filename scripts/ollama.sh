#!/usr/bin/env bash
# An Ollama server and small models for the demo and the tests, without root and
# without touching an installation that is already there.
#
#   scripts/ollama.sh server         find or build the server's binary, print its path
#   scripts/ollama.sh model NAME …   make the models available in a server
#   scripts/ollama.sh fetch NAME …   only download and check the models
#   scripts/ollama.sh start          find or start a server; prints lines for eval:
#                                    export OLLAMA_HOST=URL, CAI_OLLAMA_STARTED=0|1
#   scripts/ollama.sh stop           stop the server that `start` started, no other
#   scripts/ollama.sh status         say what is there
#
# A server is looked for in this order: OLLAMA_HOST (or Ollama's default address)
# if one answers there; `ollama` on the PATH; a build from source in the cache.
#
# CAI_CACHE         the cache (default ${XDG_CACHE_HOME:-$HOME/.cache}/cai)
# CAI_OLLAMA=own    use only the build in the cache, on a port of its own
# CAI_OLLAMA_RUN    folder for the pid file and log of `start` (default: CAI_CACHE/run)
# CAI_OLLAMA_PORT   port of a started server (default: any free one)
set -euo pipefail

version=v0.17.4
oldest=0.12.11 # the first release whose API returns log-probabilities
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${CAI_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set; set CAI_CACHE}/.cache}/cai}
run=${CAI_OLLAMA_RUN:-$cache/run}
models=$cache/models

say() { printf '%s\n' "ollama.sh: $*" >&2; }
die() { say "error: $*"; exit 1; }
py() { python3 "$here/models.py" "$@"; }

command -v python3 >/dev/null || die "python3 is missing (any 3.10 or newer, no packages needed)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "python3 is older than 3.10"
mkdir -p "$cache"

# march prints the instruction set to build for. Without AVX2 in the flags,
# decoding is some ten times slower; x86-64-v3 rather than native where it can,
# so that a cache that travels between machines stays usable.
march() {
    case $(uname -m) in
        x86_64|amd64)
            if grep -qw avx2 /proc/cpuinfo 2>/dev/null && grep -qw bmi2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo; then
                echo x86-64-v3
            else
                echo native
            fi ;;
        *) echo native ;;
    esac
}

# good_binary reports whether FILE is a build of the wanted version. A build cut
# short leaves no file there at all, because it is renamed into place at the end.
good_binary() {
    [ -x "$1" ] && go version -m "$1" 2>/dev/null | awk -v v="$version" \
        '$1 == "mod" && $2 == "github.com/ollama/ollama" && $3 == v { ok = 1 } END { exit !ok }'
}

# module_dir downloads a module (checksummed by Go) and prints its folder.
module_dir() {
    local json
    json=$(cd "$cache" && GOFLAGS=-mod=mod go mod download -json "$1") || die "go mod download $1: $json"
    python3 -c 'import json,sys; print(json.load(sys.stdin)["Dir"])' <<<"$json"
}

build() {
    local flags target dir tmp inc started pid log
    flags="-O3 -march=$(march)"
    dir=$cache/ollama/$version-$(uname -m)-$(march)
    target=$dir/ollama
    if good_binary "$target"; then echo "$target"; return; fi
    for tool in go gcc g++; do
        command -v "$tool" >/dev/null || die "$tool is missing: it is needed to build the Ollama server"
    done
    mkdir -p "$dir"
    # The lock belongs to the open descriptor: it goes when this process does.
    exec 8>"$dir/lock"
    py lock 8 "the build of the Ollama server"
    if good_binary "$target"; then exec 8>&-; echo "$target"; return; fi

    say "building the Ollama server $version from source: 3 to 5 minutes on 2 cores, once"
    say "  it goes to $dir; an interrupted build goes on where it stopped"
    started=$SECONDS
    tmp=$dir/build; inc=$tmp/include; log=$tmp/build.log
    mkdir -p "$inc/nlohmann" "$inc/stb" "$inc/miniaudio" "$tmp/bin"
    # A module's zip leaves out folders named vendor, and with them three headers.
    local json_dir stb_dir audio_dir
    json_dir=$(module_dir github.com/nlohmann/json@v3.11.3+incompatible)
    stb_dir=$(module_dir github.com/nothings/stb@v0.0.0-20260802064209-2c980bb59875)
    audio_dir=$(module_dir github.com/gen2brain/malgo@v0.11.24)
    cp -f "$json_dir"/single_include/nlohmann/{json,json_fwd}.hpp "$inc/nlohmann/"
    cp -f "$stb_dir/stb_image.h" "$inc/stb/"
    cp -f "$audio_dir/miniaudio.h" "$inc/miniaudio/"
    chmod -R u+w "$inc"
    say "  headers are there ($((SECONDS - started)) s); downloading and compiling"

    # Outside any module, so that the checkout's go.mod and settings have no say.
    (cd "$tmp" && exec env CGO_ENABLED=1 GOFLAGS= GOWORK=off GOOS= GOARCH= GOBIN="$tmp/bin" \
        CGO_CFLAGS="$flags -I$inc" CGO_CXXFLAGS="$flags -I$inc" \
        go install -trimpath -ldflags "-s -w -X=github.com/ollama/ollama/version.Version=${version#v}" \
        "github.com/ollama/ollama@$version") >"$log" 2>&1 8>&- &
    pid=$!
    trap 'kill "$pid" 2>/dev/null || true; exit 130' INT TERM
    local waited=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        waited=$((waited + 1))
        if [ $((waited % 30)) = 0 ]; then say "  still building ($((SECONDS - started)) s)"; fi
    done
    wait "$pid" || { tail -n 20 "$log" >&2; die "the build failed; its output is in $log"; }
    trap - INT TERM
    good_binary "$tmp/bin/ollama" || die "the build left no usable binary in $tmp/bin"
    mv -f "$tmp/bin/ollama" "$target"
    rm -rf "$tmp"
    exec 8>&-
    say "built the Ollama server in $((SECONDS - started)) s"
    echo "$target"
}

# usable_on_path prints the path of an installed ollama that is new enough.
usable_on_path() {
    local path have
    [ "${CAI_OLLAMA:-}" != own ] || return 1
    path=$(command -v ollama) || return 1
    have=$("$path" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | tail -n 1) || return 1
    if [ "$(printf '%s\n' "$oldest" "$have" | sort -V | head -n 1)" != "$oldest" ]; then
        say "$path is version $have, too old for log-probabilities (needs $oldest): not used"
        return 1
    fi
    echo "$path"
}

binary() { usable_on_path || build; }

# running prints the URL of a server that was there before us.
running() {
    [ "${CAI_OLLAMA:-}" != own ] || return 1
    local url
    url=$(py url "${OLLAMA_HOST:-127.0.0.1:11434}")
    if py probe "$url" >/dev/null; then echo "$url"; return; fi
    if [ -n "${OLLAMA_HOST:-}" ]; then say "no server answers at OLLAMA_HOST ($url)"; fi
    return 1
}

# A pid alone may have been given to another process since: it counts only with
# the start time and the command that were written down with it.
identity() { ps -o lstart= -o args= -p "$1" 2>/dev/null | tr -s ' '; }

# own_url prints the URL of the server that `start` started, if it still runs.
own_url() {
    local pid url who
    [ -f "$run/server" ] || return 1
    { read -r pid; read -r url; IFS= read -r who; } <"$run/server" || return 1
    [ -n "$who" ] && [ "$(identity "$pid")" = "$who" ] || return 1
    echo "$url"
}

start() {
    local url bin port pid i
    if url=$(own_url) && py probe "$url" >/dev/null; then
        say "using the server that already runs at $url"
        printf 'export OLLAMA_HOST=%s\nCAI_OLLAMA_STARTED=0\n' "$url"
        return
    fi
    if url=$(running); then
        say "using the Ollama server at $url"
        printf 'export OLLAMA_HOST=%s\nCAI_OLLAMA_STARTED=0\n' "$url"
        return
    fi
    bin=$(binary)
    mkdir -p "$run" "$models" "$cache/home"
    for _ in 1 2 3; do
        port=${CAI_OLLAMA_PORT:-$(py port)}
        url=http://127.0.0.1:$port
        # Its own session, so that a Ctrl-C meant for the caller does not end it
        # before the caller has stopped it, and so that `stop` reaches its runners.
        # NOPRUNE: another server on the same folder may be in mid-upload.
        OLLAMA_HOST=127.0.0.1:$port OLLAMA_MODELS=$models OLLAMA_NUM_PARALLEL=${OLLAMA_NUM_PARALLEL:-1} \
            OLLAMA_NOPRUNE=1 HOME=$cache/home \
            python3 -c 'import os,sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])' \
            "$bin" serve >"$run/server.log" 2>&1 </dev/null &
        pid=$!
        for i in $(seq 1 150); do
            if ! kill -0 "$pid" 2>/dev/null; then break; fi
            if py probe "$url" >/dev/null; then
                # The answer may come from another program that took the port first.
                sleep 0.2
                kill -0 "$pid" 2>/dev/null || break
                printf '%s\n%s\n%s\n' "$pid" "$url" "$(identity "$pid")" >"$run/server.tmp"
                mv -f "$run/server.tmp" "$run/server"
                say "started an Ollama server at $url (pid $pid, log $run/server.log)"
                printf 'export OLLAMA_HOST=%s\nCAI_OLLAMA_STARTED=1\n' "$url"
                return
            fi
            sleep 0.2
        done
        kill "$pid" 2>/dev/null || true
    done
    tail -n 5 "$run/server.log" >&2 || true
    die "the Ollama server did not come up; its log is $run/server.log"
}

stop() {
    local pid url _who i
    if ! url=$(own_url); then
        rm -f "$run/server"
        say "no server of ours is running"
        return
    fi
    { read -r pid; read -r url; IFS= read -r _who; } <"$run/server"
    kill -TERM "$pid"
    for i in $(seq 1 50); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.2
    done
    # The group holds the server and its model runners; after setsid its id is the pid.
    kill -KILL -- "-$pid" 2>/dev/null || true
    rm -f "$run/server"
    say "stopped the Ollama server at $url"
}

make_models() {
    local url started=0 name
    if ! { url=$(own_url) && py probe "$url" >/dev/null; } && ! url=$(running); then
        eval "$(start)"
        url=$OLLAMA_HOST; started=$CAI_OLLAMA_STARTED
        if [ "$started" = 1 ]; then trap stop EXIT; fi
    fi
    for name in "$@"; do
        if py has "$name" "$url"; then
            say "$name is in the server at $url"
        else
            py create "$name" "$cache" "$url"
            say "$name is ready in the server at $url"
        fi
    done
}

case ${1:-} in
    server) [ $# = 1 ] || die "server takes no arguments"; binary ;;
    model) [ $# -ge 2 ] || die "model needs a name: $(py list | cut -f1 | tr '\n' ' ')"; shift; make_models "$@" ;;
    fetch) [ $# -ge 2 ] || die "fetch needs a name: $(py list | cut -f1 | tr '\n' ' ')"; shift
        for name in "$@"; do py fetch "$name" "$cache"; done ;;
    start) start ;;
    stop) stop ;;
    status)
        if url=$(own_url); then echo "started by us: $url"; fi
        if url=$(running); then echo "found: $url"; fi
        echo "cache: $cache"
        echo "models that can be fetched:"; py list | sed 's/^/  /' ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
