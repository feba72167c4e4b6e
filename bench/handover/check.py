"""Parts of run.sh: takes replies out of preference data, and compares scores."""
import gzip
import json
import sys
import time


def replies(path, n, out):
    lines = gzip.open(path, "rt", encoding="utf-8").read().splitlines()[:4000]
    with open(out + "/pairs.jsonl", "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    seen = set()
    with open(out + "/replies.jsonl", "w", encoding="utf-8") as f:
        for line in lines:
            r = json.loads(line)
            for side in ("chosen", "rejected"):
                prompt, reply = r["prompt"], r[side]
                if (prompt, reply) not in seen and len(seen) < n:
                    seen.add((prompt, reply))
                    f.write(json.dumps({"prompt": prompt, "response": reply}) + "\n")


def records(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def python(name, folder, scored):
    sys.path.insert(0, folder)
    import cai_rm

    model, rows = cai_rm.load(folder), records(scored)
    start, worst, std, size = time.time(), 0.0, 0.0, 0.0
    for r in rows:
        s, d = model.score_std(r["prompt"], r["response"])
        worst, std, size = max(worst, abs(s - r["score"])), max(std, abs(d - r["std"])), max(size, abs(s))
    print("%s, Python: %d replies, scores up to %.2f, largest difference %.3g, of std %.3g; %.0f replies/s"
          % (name, len(rows), size, worst, std, len(rows) / (time.time() - start)))
    return worst <= 1e-6 and std <= 1e-6


def onnx(name, folder, graph, scored):
    try:
        import numpy
        import onnx as format
        import onnxruntime
    except ImportError as e:
        print("%s, ONNX: not checked, %s" % (name, e))
        return True
    format.checker.check_model(format.load(graph + "/model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(graph + "/model.onnx", providers=["CPUExecutionProvider"])
    sys.path.insert(0, folder)
    import cai_rm

    model, rows = cai_rm.load(folder), records(scored)
    x = []
    for r in rows:
        model.open(r["prompt"], None)
        x.append(model.measure(r["response"], model.tokenize(r["response"])))
    got = session.run(None, {"X": numpy.array(x, dtype=numpy.float32)})[0][:, 0]
    worst = max(abs(float(g) - r["score"]) for g, r in zip(got, rows))
    lines = records(graph + "/conformance.jsonl")
    got = session.run(None, {"X": numpy.array([r["features"] for r in lines], dtype=numpy.float32)})[0][:, 0]
    own = max(abs(float(g) - r["score"]) for g, r in zip(got, lines))
    print("%s, ONNX (onnxruntime %s, checker passed): %d replies, largest difference %.3g; conformance texts %.3g"
          % (name, onnxruntime.__version__, len(rows), worst, own))
    return max(worst, own) <= 1e-5


if __name__ == "__main__":
    what, args = sys.argv[1], sys.argv[2:]
    if what == "replies":
        replies(args[0], int(args[1]), args[2])
    elif not {"python": python, "onnx": onnx}[what](*args):
        sys.exit(1)
