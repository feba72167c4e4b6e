"""Clients of cai serve: OpenRLHF's own, as its package has it, and requests. Their
scores have to be those of cai score."""

import asyncio, importlib.metadata, importlib.util, json, os, socket, subprocess, sys, time, types

import requests

cai, folder = sys.argv[1:]
replies = [json.loads(line) for line in open(folder + "/replies.jsonl", encoding="utf-8")]
model = folder + "/rm.safetensors"
with open(folder + "/scored.jsonl", "w", encoding="utf-8") as out:
    subprocess.run([cai, "score", "--quiet", "--json", "--rm", model, folder + "/replies.jsonl"], stdout=out, check=True)
want = [json.loads(line)["score"] for line in open(folder + "/scored.jsonl", encoding="utf-8")]


def same(what, got):
    worst = max(abs(a - b) for a, b in zip(got, want, strict=True))
    assert worst < 1e-9, (what, got, want)
    print(f"{what}: {len(got)} scores, largest difference to cai score {worst:.0e}")


with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
token = "a-token-for-this-check"
server = subprocess.Popen([cai, "serve", "--quiet", "--rm", model, "--addr", f"127.0.0.1:{port}"], env={**os.environ, "CAI_TOKEN": token}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
url = f"http://127.0.0.1:{port}"
try:
    for _ in range(100):
        try:
            if requests.get(url + "/health", timeout=1).ok:
                break
        except requests.ConnectionError:
            time.sleep(0.1)
    else:
        sys.exit("cai serve does not answer: " + server.stderr.read())

    # OpenRLHF, of which utils/agent.py needs neither torch nor ray. The packages around
    # it, whose __init__ need them, are stood in for by empty ones.
    where = importlib.util.find_spec("openrlhf").submodule_search_locations
    for name, at in {"openrlhf": list(where), "openrlhf.utils": [os.path.join(where[0], "utils")]}.items():
        package = types.ModuleType(name)
        package.__path__ = at
        sys.modules[name] = package
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    def template(r):
        return f"<|im_start|>user\n{r['prompt']}<|im_end|>\n<|im_start|>assistant\n"

    executor = SingleTurnAgentExecutor(f"{url}/t/{token}/get_reward")  # it sends no header

    async def rollout(batch):
        """As its samples are scored: one query a call, many at once."""
        calls = [executor._fetch_rewards_via_http([template(r) + r["response"] + "<|im_end|>"], [template(r)], [None]) for r in batch]
        return [answer[0] for answer in await asyncio.gather(*calls)]

    answers = asyncio.run(rollout(replies))
    assert all(set(a) >= {"rewards", "scores", "extra_logs"} for a in answers), answers[0]
    one = lambda x: x[0] if isinstance(x, list) else x
    same(f"openrlhf {importlib.metadata.version('openrlhf')}, its client", [one(a["rewards"]) for a in answers])
    assert all(isinstance(one(v), (int, float)) for a in answers for v in a["extra_logs"].values()), answers[0]
    batch = asyncio.run(executor._fetch_rewards_via_http([template(r) + r["response"] for r in replies], [template(r) for r in replies], [None] * len(replies)))
    same("openrlhf, all in one call", batch[0]["rewards"])
    spread = SingleTurnAgentExecutor([f"{url}/t/{token}/get_reward", f"{url}/t/{token}/get_reward"])
    parts = asyncio.run(spread._fetch_rewards_via_http([template(r) + r["response"] for r in replies], [template(r) for r in replies], [None] * len(replies)))
    same("openrlhf, two endpoints", [x for p in parts for x in p["rewards"]])

    # requests, with the token in the header.
    assert requests.post(url + "/v1/score", json={"items": replies}, timeout=10).status_code == 401
    session = requests.Session()
    session.headers["Authorization"] = "Bearer " + token
    answer = session.post(url + "/v1/score", json={"items": [{"prompt": r["prompt"], "response": r["response"]} for r in replies]}, timeout=10)
    answer.raise_for_status()
    same(f"requests {requests.__version__}, /v1/score", [s["score"] for s in answer.json()["scores"]])
    answer = session.post(url + "/classify", json={"input": [template(r) + r["response"] for r in replies], "use_activation": False}, timeout=10)
    answer.raise_for_status()
    same("requests, /classify", [d["probs"][-1] for d in answer.json()["data"]])
    assert session.get(url + "/v1/models", timeout=10).json()["data"][0]["object"] == "model"
finally:
    server.terminate()
    server.wait(20)
print("all well")
