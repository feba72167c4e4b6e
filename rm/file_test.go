package rm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cai/dataset"
)

// tinyModel is a model of few buckets, trained on a handful of pairs.
func tinyModel(t testing.TB) *Model {
	t.Helper()
	var pairs []*dataset.Pair
	for i := range 24 {
		s := []string{"one fish", "two fish", "red fish", "blue fish"}[i%4]
		pairs = append(pairs, &dataset.Pair{
			Prompt: dataset.Prompt(fmt.Sprintf("Which %s of %d?", s, i)),
			First:  dataset.Response{Text: "A fine " + s + "."},
			Second: dataset.Response{Text: "No " + s + " here!"},
			P:      float64(i) / 23,
		})
	}
	m, _, err := Train(context.Background(), func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}, Options{Dim: minDim})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func savedBytes(t testing.TB, m *Model) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forge makes a file of the model's parts after change, with a right checksum,
// as a file made with intent would have.
func forge(t testing.TB, m *Model, change func(tensors map[string]tensor, meta map[string]string)) []byte {
	t.Helper()
	tensors, meta := m.tensors(), m.strings()
	change(tensors, meta)
	names := sortedNames(tensors)
	data := tensorBytes(names, tensors)
	if meta != nil {
		meta[checksumKey] = checksum(meta, data)
	}
	head, err := encodeTensors(names, tensors, meta)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, data...)
}

func TestLoadRefusesAnyDamage(t *testing.T) {
	b := savedBytes(t, tinyModel(t))
	if _, err := parse(b); err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 97
	}
	for n := 0; n < len(b); n += step {
		if _, err := parse(b[:n]); err == nil {
			t.Fatalf("cut to %d of %d bytes: no error", n, len(b))
		}
	}
	if _, err := parse(append(bytes.Clone(b), 0)); err == nil {
		t.Error("one byte more: no error")
	}
	// A changed byte is found, but for one that turns a space of the header
	// into other white space.
	for i := 0; i < len(b); i += step {
		c := bytes.Clone(b)
		c[i] ^= 0x41
		if _, err := parse(c); err == nil {
			t.Fatalf("byte %d (%q) changed to %q: no error", i, b[i], c[i])
		}
	}
}

func TestLoadRefusesForgedFiles(t *testing.T) {
	m := tinyModel(t)
	for name, c := range map[string]struct {
		change func(t map[string]tensor, meta map[string]string)
		want   string
	}{
		"other format":      {func(_ map[string]tensor, s map[string]string) { s["format"] = "pt" }, "no reward model"},
		"newer format":      {func(_ map[string]tensor, s map[string]string) { s["format_version"] = "99" }, "format version"},
		"other features":    {func(_ map[string]tensor, s map[string]string) { s["feature_version"] = "99" }, "feature version"},
		"unknown group":     {func(_ map[string]tensor, s map[string]string) { s["features"] = "hash,style,tea" }, "features"},
		"group twice":       {func(_ map[string]tensor, s map[string]string) { s["features"] = "hash,hash" }, "features"},
		"too many common":   {func(_ map[string]tensor, s map[string]string) { s["common"] = "16777216" }, "common"},
		"common below 0":    {func(_ map[string]tensor, s map[string]string) { s["common"] = "-1" }, "common"},
		"other clip":        {func(_ map[string]tensor, s map[string]string) { s["expect_clip"] = "9" }, "expect_clip"},
		"certainty no JSON": {func(_ map[string]tensor, s map[string]string) { s["certainty"] = "{" }, "certainty"},
		"profile no JSON":   {func(_ map[string]tensor, s map[string]string) { s["profile"] = "{" }, "profile"},
		"profile cut":       {func(_ map[string]tensor, s map[string]string) { s["profile"] = `{"version":1}` }, "profile"},
		"profile without codes": {func(_ map[string]tensor, s map[string]string) {
			s["profile"] = strings.Replace(s["profile"], `"codes":"`, `"codes":"AAAA`, 1)
		}, "codes"},
		"profile without a step": {func(_ map[string]tensor, s map[string]string) {
			s["profile"] = strings.Replace(s["profile"], `"step":`, `"step":-`, 1)
		}, "step"},
		"no group":            {func(_ map[string]tensor, s map[string]string) { s["features"] = "" }, "features"},
		"dim no power of two": {func(_ map[string]tensor, s map[string]string) { s["dim"] = "300" }, "dim"},
		"dim too small":       {func(_ map[string]tensor, s map[string]string) { s["dim"] = "128" }, "dim"},
		"dim huge":            {func(_ map[string]tensor, s map[string]string) { s["dim"] = "1099511627776" }, "dim"},
		"dim no number":       {func(_ map[string]tensor, s map[string]string) { s["dim"] = "many" }, "dim"},
		"no n-grams":          {func(_ map[string]tensor, s map[string]string) { s["ngrams"] = "0" }, "ngrams"},
		"temperature zero":    {func(_ map[string]tensor, s map[string]string) { s["temperature"] = "0" }, "temperature"},
		"temperature NaN":     {func(_ map[string]tensor, s map[string]string) { s["temperature"] = "NaN" }, "temperature"},
		"members missing":     {func(_ map[string]tensor, s map[string]string) { delete(s, "members") }, "members"},
		"blend of another":    {func(_ map[string]tensor, s map[string]string) { s["blend"] = `{"kind":"gate","coef":[1]}` }, "blend"},
		"no members":          {func(_ map[string]tensor, s map[string]string) { s["members"] = "[]" }, "members"},
		"data hash":           {func(_ map[string]tensor, s map[string]string) { s["data_hash"] = "xyz" }, "data_hash"},
		"metrics":             {func(_ map[string]tensor, s map[string]string) { s["metrics"] = "{" }, "metrics"},
		"created":             {func(_ map[string]tensor, s map[string]string) { s["created"] = "now" }, "created"},
		"style names":         {func(_ map[string]tensor, s map[string]string) { s["style_names"] = "tea" }, "style_names"},
		"tensor missing":      {func(t map[string]tensor, _ map[string]string) { delete(t, "0.weight") }, "missing"},
		"tensor unknown":      {func(t map[string]tensor, _ map[string]string) { t["tea"] = tensor{f: []float32{1}} }, "unknown tensor"},
		"tensor short":        {func(t map[string]tensor, _ map[string]string) { t[tensorIDF] = tensor{f: []float32{1}} }, tensorIDF},
		"tensor of integers": {func(t map[string]tensor, _ map[string]string) {
			t["0.weight"] = tensor{i: make([]int32, t["0.weight"].len())}
		}, "0.weight"},
		"expectation flat": {func(t map[string]tensor, _ map[string]string) {
			t[tensorExpectWords] = tensor{f: t[tensorExpectWords].f}
		}, tensorExpectWords},
		"gate weight":    {func(_ map[string]tensor, s map[string]string) { s["gate_weight"] = "7" }, "gate_weight"},
		"bucket outside": {func(t map[string]tensor, _ map[string]string) { t[tensorIndex].i[0] = minDim }, tensorIndex},
		"bucket below":   {func(t map[string]tensor, _ map[string]string) { t[tensorIndex].i[0] = -1 }, tensorIndex},
		"bucket twice":   {func(t map[string]tensor, _ map[string]string) { t[tensorIndex].i[1] = t[tensorIndex].i[0] }, tensorIndex},
	} {
		_, err := parse(forge(t, m, c.change))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, name := range []string{"0.weight", "0.variance", tensorDenseScale, tensorGateIDF} {
			_, err := parse(forge(t, m, func(t map[string]tensor, _ map[string]string) {
				x := t[name]
				x.f = append([]float32(nil), x.f...)
				x.f[0] = float32(v)
				t[name] = x
			}))
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v in %s: %v", v, name, err)
			}
		}
	}
}

// A file without a profile, or with one of a later build, is a model all the same.
func TestLoadWithoutAProfile(t *testing.T) {
	m := tinyModel(t)
	if m.Metadata.Profile == nil {
		t.Fatal("no profile was made")
	}
	for name, change := range map[string]func(map[string]tensor, map[string]string){
		"none":  func(_ map[string]tensor, s map[string]string) { delete(s, "profile") },
		"later": func(_ map[string]tensor, s map[string]string) { s["profile"] = `{"version":2,"columns":{"a":1}}` },
	} {
		got, err := parse(forge(t, m, change))
		if err != nil || got.Metadata.Profile != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.safetensors")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("hello, world"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no model: %v", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder: %v", err)
	}
}

func TestSaveLeavesNothingBehind(t *testing.T) {
	m := tinyModel(t)
	dir := t.TempDir()
	if err := m.Save(filepath.Join(dir, "no", "m.safetensors")); err == nil || !strings.Contains(err.Error(), "m.safetensors") {
		t.Errorf("folder missing: %v", err)
	}
	// Renaming over a folder fails after everything is written.
	path := filepath.Join(dir, "m.safetensors")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(path); err == nil {
		t.Error("saved over a folder")
	}
	m.Metadata.Metrics = []byte("{")
	if err := m.Save(filepath.Join(dir, "n.safetensors")); err == nil || !strings.Contains(err.Error(), "metrics") {
		t.Errorf("broken metrics: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The header must be what other readers of the format expect.
func TestHeaderFollowsTheFormat(t *testing.T) {
	b := savedBytes(t, tinyModel(t))
	n := binary.LittleEndian.Uint64(b)
	if n%8 != 0 {
		t.Errorf("header of %d bytes leaves the data unaligned", n)
	}
	var head map[string]json.RawMessage
	if err := json.Unmarshal(b[8:8+n], &head); err != nil {
		t.Fatal(err)
	}
	var meta map[string]string
	if err := json.Unmarshal(head["__metadata__"], &meta); err != nil {
		t.Fatal(err)
	}
	delete(head, "__metadata__")
	end := int64(0)
	for name, raw := range head {
		var info tensorInfo
		if err := json.Unmarshal(raw, &info); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		end = max(end, info.Offsets[1])
	}
	if want := int64(len(b)) - 8 - int64(n); end != want {
		t.Errorf("tensors end at %d, the data at %d", end, want)
	}
}

func FuzzLoad(f *testing.F) {
	m := tinyModel(f)
	good := savedBytes(f, m)
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Add([]byte("\x10\x00\x00\x00\x00\x00\x00\x00{\"a\":{\"shape\":[]}}"))
	n := binary.LittleEndian.Uint64(good)
	f.Add(append(good[:8+n:8+n], bytes.Repeat([]byte{0xff}, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Give it the right checksum, or nothing would come any further.
		if tensors, meta, _, err := decodeTensors(b); err == nil && meta != nil {
			names := sortedNames(tensors)
			meta[checksumKey] = checksum(meta, tensorBytes(names, tensors))
			head, err := encodeTensors(names, tensors, meta)
			if err != nil {
				t.Fatal(err)
			}
			b = append(head, tensorBytes(names, tensors)...)
		}
		m, err := parse(b)
		if err != nil {
			return
		}
		// What loads can be scored with and comes out again as it went in.
		m.Score(t.Context(), dataset.Prompt("Which fish?"), "A fine red fish.")
		again, err := m.encode()
		if err != nil {
			return // more metadata than is read
		}
		if _, err := parse(again); err != nil {
			t.Fatal(err)
		}
	})
}
