"""Loads what check.sh wrote and compares JSONL with Parquet, and both with what went in."""

import glob, json, os, sys

import datasets
import pyarrow
import pyarrow.parquet as pq

datasets.disable_progress_bars()
folder = sys.argv[1]
print("datasets", datasets.__version__, "pyarrow", pyarrow.__version__)


def bare(value):
    """Without nulls, which Parquet has where JSON has no key."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if v is not None}
    return [bare(v) for v in value] if isinstance(value, list) else value


for path in sorted(glob.glob(folder + "/*.parquet")):
    name = os.path.basename(path)[: -len(".parquet")]
    lines = path[: -len("parquet")] + "jsonl"
    a = datasets.load_dataset("json", data_files=lines, split="train")
    b = datasets.load_dataset("parquet", data_files=path, split="train")
    want = [json.loads(line) for line in open(lines, encoding="utf-8")]
    assert [bare(r) for r in b] == [bare(r) for r in want], (name, list(b), want)
    assert [bare(r) for r in a] == [bare(r) for r in want], (name, list(a), want)
    assert bare(pq.read_table(path).to_pylist()) == bare(want), name
    assert set(a.features) == set(b.features), name
    if name in ("trl-conversational", "openrlhf"):
        for column in ("prompt", "chosen", "rejected"):
            assert pq.read_schema(path).field(column).type == pyarrow.list_(
                pyarrow.field("element", pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())]))
            ), name
    assert b"huggingface" not in (pq.read_schema(path).metadata or {}), name
    print(f"{name:20} {len(b)} rows, JSONL == Parquet == input; {', '.join(b.features)}")
print("all well")
