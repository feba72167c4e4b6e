"""Scores of a reward model that cai has exported. Python 3.8 or later, its
standard library alone; nothing else is imported.

    import cai_rm
    model = cai_rm.load("DIR")            # model.safetensors and features.json
    model.score("Name a tree.", "Oak.")   # a number; differences are log-odds
    model.score_std(prompt, reply)        # the number and its uncertainty

    python3 cai_rm.py [DIR] < replies.jsonl     adds score and std to records
    python3 cai_rm.py --check [DIR]             scores conformance.jsonl again

A prompt is a text or a list of {"role", "content"}, of which the last counts. A
model with features from outside (embeddings, judges) needs their numbers:
score(prompt, reply, prompt_vector=[...], reply_vector=[...]), those of its
sources one after the other; None or NaN stands for a number not known.

Numbers are rounded to 32 bits where cai does so, so scores agree to about 1e-9.
"""
import bisect
import json
import math
import os
import re
import struct
import sys
from array import array
from operator import add, mul

M = (1 << 64) - 1
NAN = float("nan")
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
WORD = re.compile(r"[a-z0-9]+(?:'(?=[a-z])[a-z0-9]+)*")
SPLIT = re.compile("[" + SPACE + "]")
SURROGATE = re.compile("[\ud800-\udfff]")


def f32(x):
    return array("f", (x,))[0]


def mix(x):
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & M
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & M
    return x ^ x >> 31


def follow(h, token):
    return mix((h * 0x9E3779B97F4A7C15 + token) & M)


def read_safetensors(path):
    """Gives the metadata and the tensors as flat arrays."""
    with open(path, "rb") as f:
        b = f.read()
    n = struct.unpack("<Q", b[:8])[0]
    header = json.loads(b[8 : 8 + n].decode("utf-8"))
    meta, tensors = header.pop("__metadata__"), {}
    for name, t in header.items():
        v = array({"F32": "f", "I32": "i"}[t["dtype"]])
        v.frombytes(b[8 + n + t["data_offsets"][0] : 8 + n + t["data_offsets"][1]])
        if sys.byteorder == "big":
            v.byteswap()
        tensors[name] = v
    return meta, tensors


class Unicode:
    """Classes of characters, as ranges of code points."""

    def __init__(self, tables):
        self.ranges = {k: ([r[0] for r in v], [r[1] for r in v]) for k, v in tables.items() if k != "lower"}
        self.lower = {a: b for a, b in tables["lower"]}
        self.known = {k: {} for k in self.ranges}

    def has(self, cls, r):
        known = self.known[cls]
        v = known.get(r)
        if v is None:
            first, last = self.ranges[cls]
            i = bisect.bisect_right(first, r) - 1
            v = known[r] = i >= 0 and r <= last[i]
        return v


class Vocab:
    def __init__(self, index, idf, rare=0.0):
        self.at = {b: i for i, b in enumerate(index)}
        self.idf, self.rare = idf, rare

    def hits(self, counts):
        """Places and values of the known features, and the share that is not known."""
        places, values, total, odd = [], [], 0.0, 0.0
        at, idf = self.at, self.idf
        for b, c in counts:
            c = max(-127, min(127, c))
            x = 1 + math.log(abs(c))
            if c < 0:
                x = -x
            i = at.get(b)
            if i is None:
                x *= self.rare
                odd += x * x
            else:
                x *= idf[i]
                places.append(i)
                values.append(x)
            total += x * x
        if total == 0:
            return [], [], 0.0
        norm = f32(1 / math.sqrt(total))
        values = array("f", [v * norm for v in array("f", values)])
        return places, values, odd / total


class Model:
    def __init__(self, meta, tensors, features):
        if meta.get("format") != "cai.rm" or meta.get("format_version") != "3" or meta.get("feature_version") != str(features["feature_version"]):
            raise ValueError("not a cai reward model of format 3 and features %s" % features["feature_version"])
        self.metadata, self.t, self.f = meta, tensors, features
        groups = meta["features"].split(",")
        self.hash, self.style, self.chars = "hash" in groups, "style" in groups, "chars" in groups
        self.gated = self.hash and self.style
        self.orders = int(meta["ngrams"])
        dim = int(meta["dim"])
        self.shift = 64 - (dim - 1).bit_length() if dim else 0
        self.temperature = float(meta["temperature"])
        self.members, self.blend = json.loads(meta["members"]), json.loads(meta["blend"])
        self.sources = json.loads(meta.get("sources", "[]"))
        self.asked_count = sum(s["prompt"] for s in self.sources)
        self.reply_count = sum(s["reply"] for s in self.sources)
        self.uni = Unicode(features["unicode"])
        self.words = Vocab(tensors["hash.index"], tensors["hash.idf"], f32(float(meta["rare_idf"]))) if self.hash else None
        self.grams = Vocab(tensors["chars.index"], tensors["chars.idf"], f32(float(meta["chars_rare_idf"]))) if self.chars else None
        self.gate = Vocab(tensors["gate.index"], tensors["gate.idf"]) if self.gated else None
        self.common = int(meta.get("common", "0"))
        self.names = meta["style_names"].split(",") if self.style else []
        self.clip = float(features["style_clip"])
        self.sizes = [float(meta["style_weight"])] * len(self.names) if self.style else []
        for s in self.sources:
            self.sizes += [float(meta["source_norm"]) / math.sqrt(s["reply"])] * s["reply"]
        self.gated_at = [self.names.index(g) for g in meta["gated_names"].split(",")] if self.gated else []
        self.gate_weight = float(meta.get("gate_weight", "0"))
        self.expect_clip = float(meta.get("expect_clip", "0"))
        self.dense = len(self.sizes)
        n_words = len(self.words.idf) if self.hash else 0
        self.chars_from = self.dense + n_words + self.common * 2
        self.gates_from = self.chars_from + (len(self.grams.idf) if self.chars else 0)
        self.expects_from = self.gates_from + (len(self.gate.idf) * len(self.gated_at) if self.gated else 0)
        self.cache, self.prompt, self.opened = {}, None, None
        self.phrases = {}
        for cat, text in features["phrases"].items():
            for p in text.split(","):
                w = self.tokenize(p)
                self.phrases.setdefault(w[0], []).append((w[1:], cat))

    # Texts.

    def token(self, w):
        h = self.cache.get(w)
        if h is None:
            h = 0xCBF29CE484222325
            for c in w:
                h = (h ^ ord(c)) * 0x100000001B3 & M
            h = mix(h)
            if len(self.cache) < 1 << 18:
                self.cache[w] = h
        return h

    def tokenize(self, s):
        if s.isascii():
            return [self.token(w) for w in WORD.findall(s.lower())]
        out, w, uni, n = [], [], self.uni, len(s)

        def starts(i):
            return i < n and uni.has("letter", ord(s[i]))

        for i, c in enumerate(s):
            r = ord(c)
            if r < 0x80 and c.isalnum():
                w.append(c.lower())
                continue
            if w and c in "'\u2019" and starts(i + 1):
                w.append("'")
                continue
            if r >= 0x80:
                if uni.has("unspaced", r):
                    if w:
                        out.append(self.token("".join(w)))
                    w = [c]
                elif uni.has("word", r):
                    w.append(chr(uni.lower.get(r, r)))
                    continue
            if w:
                out.append(self.token("".join(w)))
                w = []
        if w:
            out.append(self.token("".join(w)))
        return out

    def count(self, hashes):
        """Signed counts by bucket, in the order in which buckets occur."""
        n, shift = {}, self.shift
        for h in hashes:
            h = mix(h ^ 0x5851F42D4C957F2D)
            b, sign = h >> shift, 1 - 2 * (h & 1)
            c = n.get(b, 0)
            if c * sign < 1 << 14:
                n[b] = c + sign
        return [(b, c) for b, c in n.items() if c]

    def ngrams(self, words):
        for i, w in enumerate(words):
            yield w
            h = w
            for k in range(1, min(self.orders, i + 1)):
                h = follow(words[i - k], h)
                yield h

    def char_grams(self, s):
        lower = self.uni.lower
        runs = []
        for run in SPLIT.split(s):
            w = [" "]
            for c in run:
                r = ord(c)
                w.append(c.lower() if r < 0x80 else chr(lower.get(r, r)))
                if len(w) > 1 << 12:
                    runs.append(w)
                    w = [" "]
            runs.append(w)
        for w in runs:
            if len(w) < 2:
                continue
            w = [ord(c) for c in w] + [32]
            for i in range(len(w)):
                h = 0xCBF29CE484222325 ^ 0x9DDFEA08EB382D69
                for n in range(1, min(5, len(w) - i) + 1):
                    h = (h ^ w[i + n - 1]) * 0x100000001B3 & M
                    if n >= 3:
                        yield mix(h)

    # Style.

    def count_chars(self, s):
        c = dict.fromkeys(("points", "letters", "upper", "digits", "punct", "non_ascii", "emoji", "sentences", "questions", "exclaims", "quotes"), 0)
        has, ended = self.uni.has, 0
        for ch in s:
            r = ord(ch)
            if r < 0x80:
                if ch in ".?!":
                    ended = 1
                elif ch in " \t\r\n":
                    c["sentences"] += ended
                    ended = 0
                elif ch not in ")'*_]\"":
                    ended = 0
                continue
            c["non_ascii"] += 1
            keep = 0
            if has("letter", r):
                c["letters"] += 1
                c["upper"] += has("upper", r)
            elif has("digit", r):
                c["digits"] += 1
            elif has("space", r):
                c["sentences"] += ended
            elif has("punct", r):
                c["punct"] += 1
                if ch in "\uff1f\u061f":
                    c["questions"] += 1
                elif ch == "\uff01":
                    c["exclaims"] += 1
                elif ch in "\u201c\u201d\u201e\u00ab\u00bb":
                    c["quotes"] += 1
                    keep = ended
                elif ch in "\u2019\uff09":
                    keep = ended
                if ch in "\u3002\uff01\uff1f\u0964\u061f":
                    c["sentences"] += 1
            elif r > 0xFFFF or has("other_symbol", r):
                c["emoji"] += 1
            ended = keep
        c["sentences"] += ended
        c["points"] = len(s)
        lo = len(re.findall("[a-z]", s))
        up = len(re.findall("[A-Z]", s))
        digits = len(re.findall("[0-9]", s))
        c["letters"] += lo + up
        c["upper"] += up
        c["digits"] += digits
        c["punct"] += len(re.findall("[!-~]", s)) - lo - up - digits
        c["questions"] += s.count("?")
        c["exclaims"] += s.count("!")
        c["quotes"] += s.count('"')
        c["links"] = s.count("://")
        c["bold"] = (s.count("**") + s.count("__")) // 2
        last = ""
        for ch in reversed(s):
            r = ord(ch)
            if (r >= 0x80 and not has("space", r)) or (r < 0x80 and ch not in " \t\r\n"):
                last = ch
                break
        c["last"] = last
        return c

    @staticmethod
    def count_lines(s):
        c = dict.fromkeys(("paragraphs", "lines", "repeated", "headings", "tables", "fences", "bullets", "numbered"), 0)
        seen, blank = set(), True
        for line in s.split("\n"):
            line = line.strip(SPACE)
            if not line:
                blank = True
                continue
            c["paragraphs"] += blank
            blank = False
            c["lines"] += 1
            c["repeated"] += line in seen
            seen.add(line)
            h = line[0]
            if h == "#":
                c["headings"] += 1
            elif h == "|":
                c["tables"] += 1
            elif h == "`":
                c["fences"] += line.startswith("```")
            elif h in "-*+":
                c["bullets"] += line[1:2] == " "
            elif line.startswith("\u2022 "):
                c["bullets"] += 1
            elif re.match(r"[0-9]{1,3}[.)]", line):
                c["numbered"] += 1
        return c

    def measure(self, s, words):
        c, l = self.count_chars(s), self.count_lines(s)
        n = dict.fromkeys(self.f["phrases"], 0)
        refuses = agrees = 0
        for i, w in enumerate(words):
            for rest, cat in self.phrases.get(w, ()):
                if words[i + 1 : i + 1 + len(rest)] == rest:
                    n[cat] += 1
                    if cat == "refusal" and i < 12:
                        refuses = 1
                    if cat == "agree" and i == 0:
                        agrees = 1
        count = len(words)
        sentences = c["sentences"] or (1 if count else 0)
        p_words, p_types, p_pairs = self.prompt_words
        types = set(words)
        in_prompt = len(types & p_types)
        pairs = [follow(a, b) for a, b in zip(words, words[1:])]
        repeated, copied = len(pairs) - len(set(pairs)), sum(b in p_pairs for b in pairs)
        type_token = math.log1p(len(types)) / math.log1p(count) if count > 1 else 1
        last = c["last"]
        ended = last and (self.uni.has("punct", ord(last)) or last in "`|" or self.uni.has("symbol", ord(last)))

        def share(k, of):
            return f32(k / of) if of > 0 else 0

        log = math.log1p
        v = [
            log(c["points"]), log(count), log(sentences), share(c["letters"] + c["digits"], count), log(share(count, sentences)),
            log(l["paragraphs"]), log(l["bullets"]), log(l["numbered"]), log(l["headings"]), log(l["fences"]), log(c["bold"]),
            log(l["tables"]), log(c["questions"]), log(c["exclaims"]), log(c["quotes"]), log(c["links"]), share(c["digits"], c["points"]),
            share(c["upper"], c["letters"]), share(c["punct"], c["points"]), share(c["non_ascii"], c["points"]), log(c["emoji"]),
            type_token, share(repeated, count - 1), share(l["repeated"], l["lines"]), share(n["first"], count), share(n["second"], count),
            log(n["hedge"]), log(n["refusal"]), refuses, log(n["apology"]), log(n["warning"]), log(n["self"]), log(n["connective"]),
            agrees, log(n["offer"]), 1 if last and last in "?\uff1f\u061f" else 0, 1 if count and not ended else 0,
            share(in_prompt, len(p_types)), share(in_prompt, len(types)), share(copied, count - 1),
            math.log((1 + count) / (1 + p_words)),
        ]
        return list(array("f", v))

    # Scores.

    def standard(self, v, mean, scale):
        if v is None or v != v:
            return 0.0
        return max(-self.clip, min(self.clip, (v - mean) * scale))

    def open(self, prompt, vector):
        """Sets the prompt that the next replies answer."""
        if not isinstance(prompt, str):
            prompt = prompt[-1]["content"] if prompt else ""
        key = (prompt, None if vector is None else tuple(vector))
        if key == self.opened:
            return
        words = self.tokenize(SURROGATE.sub("\ufffd", prompt)) if self.style else []
        self.prompt_words = (len(words), set(words), {follow(a, b) for a, b in zip(words, words[1:])})
        vector = [NAN] * self.asked_count if vector is None else list(array("f", [NAN if v is None else v for v in vector]))
        if len(vector) != self.asked_count:
            raise ValueError("a prompt_vector of %d numbers, need %d" % (len(vector), self.asked_count))
        t = self.t
        self.asked = [self.standard(v, t["asked.mean"][j], t["asked.scale"][j]) for j, v in enumerate(vector)]
        self.expected, self.gates = [0.0, 0.0], []
        if self.gate:
            seen = [self.gate.at[b] for b, _ in self.count(mix(w + 1 & M) for w in dict.fromkeys(words)) if b in self.gate.at]
            idf = self.gate.idf
            total = sum(idf[i] * idf[i] for i in seen)
            norm = self.gate_weight / math.sqrt(total) if total else 0.0
            unit = norm / self.gate_weight
            for k in range(2):
                raw = sum(f32(idf[i] * unit) * t["expect.words"][2 * i + k] for i in seen)
                z = (raw - t["expect.mean"][k]) * t["expect.scale"][k]
                self.expected[k] = max(-self.expect_clip, min(self.expect_clip, z))
            self.gates = [(i, f32(idf[i] * norm)) for i in seen]
        self.shares = self.share_out()
        self.opened = key

    def share_out(self):
        n, b = len(self.members), self.blend
        if b["kind"] == "one":
            return [1.0]
        if b["kind"] == "mean":
            return [1 / n] * n
        if b["kind"] == "sum":
            return b["coef"]
        z = [g[0] + g[1] * self.expected[0] + g[2] * self.expected[1] for g in b["gate"]]
        e = [math.exp(v - max(z)) for v in z]
        return [b["coef"][0] * v / sum(e) for v in e]

    def score(self, prompt, reply, prompt_vector=None, reply_vector=None):
        return self.score_std(prompt, reply, prompt_vector, reply_vector)[0]

    def score_std(self, prompt, reply, prompt_vector=None, reply_vector=None):
        self.open(prompt, prompt_vector)
        reply = SURROGATE.sub("\ufffd", reply)
        words = self.tokenize(reply)
        raw = self.measure(reply, words) if self.style else []
        vector = [NAN] * self.reply_count if reply_vector is None else list(array("f", [NAN if v is None else v for v in reply_vector]))
        if len(vector) != self.reply_count:
            raise ValueError("a reply_vector of %d numbers, need %d" % (len(vector), self.reply_count))
        t, strange = self.t, 0.0
        dense = [self.standard(v, t["dense.mean"][j], t["dense.scale"][j]) * self.sizes[j] for j, v in enumerate(raw + vector)]
        hits = chars = ([], [])
        if self.hash:
            *hits, odd = self.words.hits(self.count(self.ngrams(words)))
            strange += odd
        if self.chars:
            *chars, odd = self.grams.hits(self.count(self.char_grams(reply)))
            strange += odd
        values, variances = [], []
        for k, m in enumerate(self.members):
            if m["kind"] == "linear":
                v, q = self.linear(k, m, dense, hits, chars, strange)
            else:
                v, q = self.network(k, m["hidden"], dense, hits), 0.0
            values.append((v - m["offset"]) * m["scale"])
            variances.append(q * m["scale"] * m["scale"])
        mean = sum(map(mul, self.shares, values))
        var = sum(c * c * q for c, q in zip(self.shares, variances))
        if self.blend["kind"] == "mean" and len(values) > 1:
            var = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
        return mean / self.temperature, math.sqrt(var) / self.temperature

    def columns(self, dense, hits, chars):
        """The columns of a linear head that are not zero, with their values."""
        yield from enumerate(dense)
        g = self.expected
        if self.gate:
            n = len(self.gated_at)
            for k, j in enumerate(self.gated_at):
                for i, x in self.gates:
                    yield self.gates_from + i * n + k, x * dense[j]
            for j, v in enumerate(dense):
                yield self.expects_from + 2 * j, v * g[0]
                yield self.expects_from + 2 * j + 1, v * g[1]
        for i, v in zip(*hits):
            if i < self.common:
                at = self.dense + 3 * i
                yield at + 1, v * g[0]
                yield at + 2, v * g[1]
            else:
                at = self.dense + 2 * self.common + i
            yield at, v
        for i, v in zip(*chars):
            yield self.chars_from + i, v

    def linear(self, k, m, dense, hits, chars, strange):
        w, q = self.t["%d.weight" % k], self.t.get("%d.variance" % k)
        cols = list(self.columns(dense, hits, chars))
        mean = sum(w[j] * v for j, v in cols)
        if q is None:
            return mean, 0.0
        return mean, sum(q[j] * v * v for j, v in cols) + m["prior_variance"] * strange

    def network(self, k, hidden, dense, hits):
        t = self.t
        x = [v / s for v, s in zip(dense, self.sizes)] + self.expected + self.asked
        r, p = self.dense - self.reply_count, 0
        for s in self.sources:
            if s["prompt"] == s["reply"]:
                x += [dense[r + j] / self.sizes[r + j] * self.asked[p + j] for j in range(s["reply"])]
            r, p = r + s["reply"], p + s["prompt"]
        rows = [(v, t["%d.in" % k], j) for j, v in enumerate(array("f", x)) if v]
        if self.hash:
            word = t["%d.word" % k]
            rows += [(v, word, i) for i, v in zip(*hits) if (i + 1) * hidden <= len(word)]
        h = t["%d.bias" % k]
        for v, matrix, i in rows:
            row = array("f", [v * w for w in matrix[i * hidden : (i + 1) * hidden]])
            h = array("f", map(add, h, row))
        out = 0.0
        for v, w in zip(h, t["%d.out" % k]):
            if v > 0:
                out = f32(out + f32(v * w))
        return out


def load(folder="."):
    meta, tensors = read_safetensors(os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "features.json"), encoding="utf-8") as f:
        return Model(meta, tensors, json.load(f))


def check(folder="."):
    """Gives the number of texts in conformance.jsonl, and the largest difference
    of a score or its std from what cai itself computed."""
    model, n, worst = load(folder), 0, 0.0
    with open(os.path.join(folder, "conformance.jsonl"), encoding="utf-8") as f:
        for line in f:
            r = json.loads(line)
            got = model.score_std(r["prompt"], r["response"], r.get("prompt_vector"), r.get("reply_vector"))
            n, worst = n + 1, max(worst, abs(got[0] - r["score"]), abs(got[1] - r["std"]))
    return n, worst


def main(args):
    here = os.path.dirname(os.path.abspath(__file__))
    if args[:1] == ["--check"]:
        n, worst = check(args[1] if len(args) > 1 else here)
        print("%d texts, largest difference %.3g" % (n, worst))
        return 0 if worst <= 1e-6 else 1
    model = load(args[0] if args else here)
    sys.stdin.reconfigure(encoding="utf-8")
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    for line in sys.stdin:
        if line.strip():
            r = json.loads(line)
            prompt = r.get("messages", r.get("prompt", ""))
            r["score"], r["std"] = model.score_std(prompt, r["response"], r.get("prompt_vector"), r.get("reply_vector"))
            print(json.dumps(r, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
