"""What TRL and rewardbench make of preference files of cai convert: their own code,
unmodified, on files that check.sh wrote. Neither torch nor a model is needed: what
prepares data does not use them, and where a module imports them all the same it gets
an empty stand-in."""

import ast, contextlib, importlib.metadata, importlib.util, json, logging, os, sys, types, warnings

import datasets
import transformers
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from trl import data_utils

datasets.disable_progress_bars()
folder = sys.argv[1]
want = [json.loads(line) for line in open(folder + "/want.jsonl", encoding="utf-8")]
print("trl", trl.__version__, "transformers", transformers.__version__)


def load(name, ext="jsonl"):
    kind = {"jsonl": "json", "parquet": "parquet"}[ext]
    return datasets.load_dataset(kind, data_files=f"{folder}/{name}.{ext}", split="train")


def make_tokenizer():
    """Each byte is a token, so that nothing is lost on the way there and back."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(alphabet)}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|end|>", pad_token="<|pad|>")
    fast.chat_template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    return fast


tokenizer = make_tokenizer()


def said(messages):
    return "".join(f"<|{m['role']}|>{m['content']}<|end|>" for m in messages)


# --- TRL: which form a record has, and each of its conversions.
for ext in ("jsonl", "parquet"):
    for name in ("trl", "trl-conversational", "openrlhf", "hh", "ultrafeedback", "kto", "sft"):
        data = load(name, ext)
        talk = name in ("trl-conversational", "openrlhf", "ultrafeedback")
        first = data[0] if name != "ultrafeedback" else {k: data[0][k] for k in ("chosen", "rejected")}
        assert data_utils.is_conversational(first) == talk, (name, first)
        if name == "sft":
            print(f"{name}.{ext}: prompt and completion, {len(data)} rows")
            continue
        if name == "kto":
            assert set(data.column_names) >= {"prompt", "completion", "label"} and len(data) == 2 * len(want)
            assert all(isinstance(r["label"], bool) for r in data)
            print(f"{name}.{ext}: unpaired, {len(data)} rows")
            continue
        if name == "ultrafeedback":  # dialogues, which are TRL's form without a prompt
            data = data.remove_columns("prompt")
        pairs = data.map(data_utils.maybe_extract_prompt)
        for row, w, whole in zip(pairs, want, data, strict=True):
            if name == "trl":  # texts; several turns are a transcript
                assert row["chosen"] == w["chosen"] and row["rejected"] == w["rejected"], row
            elif name == "hh":  # TRL cuts where the texts part
                assert row["prompt"] + row["chosen"] == whole["chosen"] and whole["chosen"].endswith("\n\nAssistant: " + w["chosen"]), row
                assert row["prompt"] + row["rejected"] == whole["rejected"] and "\n\nHuman: " in row["prompt"], row
            else:
                assert said(row["prompt"] + row["chosen"]) == said(w["prompt"] + [{"role": "assistant", "content": w["chosen"]}]), row
                assert said(row["prompt"] + row["rejected"]) == said(w["prompt"] + [{"role": "assistant", "content": w["rejected"]}]), row
        single = data_utils.maybe_unpair_preference_dataset(pairs.select_columns(["prompt", "chosen", "rejected"]))
        assert len(single) == 2 * len(want) and set(single.column_names) == {"prompt", "completion", "label"}
        text = [data_utils.maybe_apply_chat_template({k: r[k] for k in ("prompt", "chosen", "rejected")}, tokenizer) for r in pairs]
        if talk:
            for t, w in zip(text, want):
                assert t["prompt"] + t["chosen"] == said(w["prompt"]) + "<|assistant|>" + w["chosen"] + "<|end|>", t
        print(f"{name}.{ext}: {'conversational' if talk else 'texts'}; extract_prompt, unpair and chat template give the {len(want)} pairs")

# --- TRL's RewardTrainer: how it prepares its data. The method is taken from the
# package's file as it stands, since importing the module needs torch.
path = os.path.join(os.path.dirname(data_utils.__file__), "trainer", "reward_trainer.py")
tree = ast.parse(open(path, encoding="utf-8").read())
method = next(
    f for c in tree.body if isinstance(c, ast.ClassDef) and c.name == "RewardTrainer" for f in c.body
    if isinstance(f, ast.FunctionDef) and f.name == "_prepare_dataset"
)
names = {
    "json": json, "warnings": warnings, "Dataset": datasets.Dataset, "IterableDataset": datasets.IterableDataset,
    "PreTrainedTokenizerBase": transformers.PreTrainedTokenizerBase, "RewardConfig": object,
    "is_conversational": data_utils.is_conversational, "_tokenize": data_utils._tokenize,
    "get_dataset_column_names": data_utils.get_dataset_column_names,
    "global_then_local_main_first": contextlib.nullcontext,
}
exec(compile(ast.Module([method], []), path, "exec"), names)
args = types.SimpleNamespace(dataset_num_proc=None, max_length=4096)
for name in ("trl", "trl-conversational", "openrlhf"):
    ready = names["_prepare_dataset"](None, load(name), tokenizer, args, "train")
    assert len(ready) == len(want), (name, len(ready))
    for row, w in zip(ready, want):
        text = tokenizer.decode(row["chosen_ids"])
        if name == "trl":
            assert text == row["prompt"] + w["chosen"] + "<|end|>" or text == row["chosen"], (text, row)
        else:
            assert text == said(w["prompt"] + [{"role": "assistant", "content": w["chosen"]}]), text
    assert all(isinstance(r["margin"], float) for r in ready)
    print(f"{name}: RewardTrainer prepares {len(ready)} rows with margin; chosen_ids decode to the dialogue")

# --- rewardbench. Its utils import torch, fastchat and its models for other purposes.
spec = importlib.util.find_spec("rewardbench")
for stub, attrs in {
    "torch": {}, "fastchat": {}, "fastchat.conversation": {"Conversation": object},
    "rewardbench": {"__path__": spec.submodule_search_locations}, "rewardbench.models": {"REWARD_MODEL_CONFIG": {}},
}.items():
    module = types.ModuleType(stub)
    vars(module).update(attrs)
    sys.modules.setdefault(stub, module)
import rewardbench.utils as rb

del sys.modules["torch"]  # of which datasets would ask more, seeing it
log = logging.getLogger("rewardbench")
# Its command's --load_json takes whole dialogues on both sides, and no system message:
# it names the turns user and assistant by turns.
turns = [w for w in want if w["prompt"][0]["role"] != "system"]
with open(folder + "/dialogues.jsonl", "w", encoding="utf-8") as out:
    out.writelines(line for line, w in zip(open(folder + "/ultrafeedback.jsonl", encoding="utf-8"), want) if w in turns)
data = rb.load_and_process_dataset(folder + "/dialogues.jsonl", json=True, tokenizer=tokenizer)
for row, w in zip(data, turns, strict=True):
    assert row["text_chosen"] == said(w["prompt"] + [{"role": "assistant", "content": w["chosen"]}]), row
    assert row["text_rejected"] == said(w["prompt"] + [{"role": "assistant", "content": w["rejected"]}]), row
print(f"rewardbench {importlib.metadata.version('rewardbench')}: load_and_process_dataset(json=True) takes ultrafeedback, {len(data)} rows")
# Its own set has the format rewardbench, RewardBench 2 the other one: the loaders read
# them from the Hub, and here a file in their place.
for name in ("rewardbench", "rewardbench2"):
    rb.load_dataset = lambda *a, **k: load(name)
    if name == "rewardbench":
        data, subsets = rb.load_eval_dataset(tokenizer=tokenizer, keep_columns=["text_chosen", "text_rejected", "id"])
        assert len(subsets) == len(want)
        texts = [(r["text_chosen"], r["text_rejected"]) for r in data]
    else:
        data = rb.load_eval_dataset_multi(custom_dialogue_formatting=True, logger=log, keep_columns=["texts_chosen", "texts_rejected", "num_correct"])
        texts = [(said(r["texts_chosen"][0]), said(r["texts_rejected"][0])) for r in data]
    flat = load(name)["prompt"]
    for (c, r), w, p in zip(texts, want, flat, strict=True):
        ask = [{"role": "user", "content": p}]
        assert c == said(ask + [{"role": "assistant", "content": w["chosen"]}]), c
        assert r == said(ask + [{"role": "assistant", "content": w["rejected"]}]), r
    print(f"rewardbench: {name} is read by its loader, {len(texts)} rows")
print("all well")
