"""Parquet as Hugging Face datasets and pyarrow write it, read by cai: the pairs that
come out have to be those that went in, whatever the encoding and the shape."""

import json, os, subprocess, sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

datasets.disable_progress_bars()
cai, folder = sys.argv[1:]
rows = []
for i in range(500):  # several pages, and dictionaries that overflow
    rows.append({
        "prompt": [{"role": "system", "content": "Be brief é🙂"}, {"role": "user", "content": f"Question {i}\n\n\"quoted\""}][i % 2:],
        "chosen": [{"role": "assistant", "content": f"Yes {i} " * (i % 40)}],
        "rejected": [{"role": "assistant", "content": "" if i % 7 == 0 else "No."}],
        "subset": ["chat", "code", "maths"][i % 3], "n": i, "x": i / 4, "ok": i % 2 == 0, "none": None,
        "tags": ["a", "b"][: i % 3], "meta": {"k": i, "inner": {"s": str(i)}},
    })
columns = ("prompt", "chosen", "rejected")
texts = [{k: (v[-1]["content"] if k in columns else v) for k, v in r.items()} for r in rows]


def read(name):
    out = folder + "/read.jsonl"
    subprocess.run([cai, "convert", "--quiet", "--to", "trl-conversational", name, out], check=True)
    return [json.loads(line) for line in open(out, encoding="utf-8")]


def bare(value):
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if v is not None}
    return [bare(v) for v in value] if isinstance(value, list) else value


def check(what, name, want):
    got = read(name)
    assert len(got) == len(want), (what, len(got))
    for g, w in zip(got, want):
        w = dict(bare(w))
        for k in columns:
            if isinstance(w[k], str):
                w[k] = [{"role": "user" if k == "prompt" else "assistant", "content": w[k]}]
        g = {k: v for k, v in bare(g).items() if k not in ("margin", "label_prob")}
        assert g == w, (what, g, w)
    print(f"{what}: {len(got)} pairs")


def write(data, name, **options):
    path = f"{folder}/{name}.parquet"
    data.to_parquet(path, **options) if hasattr(data, "to_parquet") else pq.write_table(data, path, **options)
    return path


messages = datasets.Dataset.from_list(rows)
check("datasets, messages as list<struct>", write(messages, "hf"), rows)
check("datasets, batches of 64 rows", write(messages, "hf64", batch_size=64), rows)
for kind in ("zstd", "snappy", "gzip", "brotli", "none"):
    check(f"the table of datasets, {kind}", write(messages.with_format("arrow")[:], "hf-" + kind, compression=kind), rows)
check("datasets, texts", write(datasets.Dataset.from_list(texts), "hf-texts"), texts)
old = [{**r, **{c: {"content": [m["content"] for m in r[c]], "role": [m["role"] for m in r[c]]} for c in columns}} for r in rows]
check("datasets, the older form struct<lists>", write(datasets.Dataset.from_list(old), "hf-sequence"), rows)
turned = [{**r, **{c: [{"content": m["content"], "role": m["role"]} for m in r[c]] for c in columns}} for r in rows]
check("datasets, content before role", write(datasets.Dataset.from_list(turned), "hf-turned"), rows)
large = messages.cast(datasets.Features({
    **messages.features, **{c: datasets.LargeList({"role": datasets.Value("large_string"), "content": datasets.Value("large_string")}) for c in columns},
}))
check("datasets, large_list of large_string", write(large, "hf-large"), rows)

table = pa.Table.from_pylist(rows)
for name, options in {
    "dictionary encoded": {"use_dictionary": True}, "plain": {"use_dictionary": False},
    "data pages v2": {"data_page_version": "2.0"}, "small pages": {"data_page_size": 256},
    "row groups of 30": {"row_group_size": 30}, "format 1.0": {"version": "1.0"},
    "delta encodings": {"use_dictionary": False, "column_encoding": {
        "prompt.list.element.content": "DELTA_BYTE_ARRAY", "chosen.list.element.content": "DELTA_LENGTH_BYTE_ARRAY", "n": "DELTA_BINARY_PACKED"}},
    "lists that are not named element": {"use_compliant_nested_type": False},
    "page index and checksums": {"write_page_index": True, "write_page_checksum": True},
}.items():
    check(f"pyarrow, {name}", write(table, "pa", **options), rows)
dictionary = table.set_column(table.column_names.index("subset"), "subset", table["subset"].dictionary_encode())
check("pyarrow, a dictionary type", write(dictionary, "pa-dict"), rows)
views = pa.table({**{k: table[k] for k in table.column_names if k != "subset"}, "subset": table["subset"].cast(pa.string_view())})
check("pyarrow, string_view", write(views, "pa-view"), rows)
keys = [{**r, "prompt": [dict(m, name="Zoë", tool_calls=[{"id": "c"}]) if j == 0 else m for j, m in enumerate(r["prompt"])]} for r in rows]
check("datasets, further keys of messages", write(datasets.Dataset.from_list(keys), "hf-keys"), keys)
refused = subprocess.run([cai, "convert", write(table, "pa-lz4", compression="lz4"), os.devnull], capture_output=True, text=True)
assert refused.returncode == 1 and "LZ4" in refused.stderr and "zstd" in refused.stderr, refused
print("pyarrow, lz4:", refused.stderr.splitlines()[0].split(": ", 3)[-1])
print("all well")
