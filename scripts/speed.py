#!/usr/bin/env python3
"""Find how many threads a model reads fastest with here.

    speed.py URL MODEL     prints: THREADS TOKENS_PER_SECOND

More threads than idle cores wait for each other and are slower than one, many
times slower on a busy machine, so the demo measures instead of guessing.
"""
import json
import os
import sys
import urllib.request

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read(url, model, threads, salt):
    """Tokens a second at which a prompt of about 100 tokens is read."""
    body = {"model": model, "stream": False, "keep_alive": -1,
            "messages": [{"role": "user", "content": f"{salt}. " + "The harbour was full of boats and the wind was rising. " * 8}],
            "options": {"num_thread": threads, "num_ctx": 4096, "num_predict": 1, "temperature": 0}}
    request = urllib.request.Request(url + "/api/chat", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with OPENER.open(request, timeout=300) as reply:
        answer = json.load(reply)
    return answer["prompt_eval_count"] / max(answer["prompt_eval_duration"] / 1e9, 1e-9)


def main(url, model):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    best = (1, 0.0)
    for threads in sorted({1, max(1, cores // 2), cores}):
        # The slower of two: a thread count that is fast only now and then is not.
        speed = min(read(url, model, threads, salt) for salt in (1, 2))
        if speed > 1.2 * best[1]:
            best = (threads, speed)
    print(best[0], round(best[1]))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, KeyError, TypeError) as e:
        print(f"speed.py: error: {e}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
