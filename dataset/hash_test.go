package dataset_test

import (
	"encoding/json"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestHashes pins the hashes: a store made by an older version must stay
// readable, so a change here needs a migration.
func TestHashes(t *testing.T) {
	prompt := dataset.Prompt("Why is the sea salty?")
	pair := dataset.Pair{Prompt: prompt, First: dataset.Response{Text: "Rivers."}, Second: dataset.Response{Text: "Tears."}}
	for name, tt := range map[string]struct {
		got  dataset.Hash
		want string
	}{
		"prompt":   {prompt.Hash(), "226af390288c0b57aed58780da09e7be"},
		"response": {dataset.ResponseHash(prompt.Hash(), "Rivers."), "10b01f63c48cfa7bc4a6ac65d1a5f16c"},
		"pair":     {pair.Key().Hash, "7c306df86db5b5cdd1ef2f3f2d5f77d9"},
		"judge":    {dataset.Judge{Backend: "ollama", Model: "m", Mode: "token"}.Hash(), "7dec335e2c30599d9b61c9d14c670a0d"},
	} {
		if tt.got.String() != tt.want {
			t.Errorf("%s hash is %s, want %s", name, tt.got, tt.want)
		}
	}
}

func TestKeyHasNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := dataset.Pair{
			Prompt: conversation().Draw(t, "prompt"),
			First:  dataset.Response{Text: text().Draw(t, "first"), Author: "m1"},
			Second: dataset.Response{Text: text().Draw(t, "second")},
			P:      0.25,
		}
		q := p
		q.First, q.Second, q.P = p.Second, p.First, 0.75
		q.Source = dataset.Source{File: "other", Line: 3}
		a, b := p.Key(), q.Key()
		if a.Hash != b.Hash || a.A != b.A || a.B != b.B || a.Prompt != b.Prompt {
			t.Fatalf("keys of a pair and of its swap: %v, %v", a, b)
		}
		if p.First.Text != p.Second.Text && a.Swapped == b.Swapped {
			t.Fatalf("both or neither are swapped: %v", a)
		}
		if a.B.Less(a.A) {
			t.Fatal("reply a has the larger hash")
		}
		if a.Swapped {
			a.A, a.B = a.B, a.A
		}
		if a.A != dataset.ResponseHash(a.Prompt, p.First.Text) || a.B != dataset.ResponseHash(a.Prompt, p.Second.Text) {
			t.Fatal("Swapped does not lead back to the source's order")
		}
	})
}

// TestHashParts: text moved from one part to the next makes another record.
func TestHashParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringN(0, 5, -1), 1, 4).Draw(t, "parts")
		others := rapid.SliceOfN(rapid.StringN(0, 5, -1), 1, 4).Draw(t, "others")
		same := cmp.Equal(parts, others)
		if (dataset.HashOf("k", parts...) == dataset.HashOf("k", others...)) != same {
			t.Fatalf("%q and %q", parts, others)
		}
		if dataset.HashOf("k", parts...) == dataset.HashOf("l", parts...) {
			t.Fatal("two kinds have one hash")
		}
	})
	a := dataset.Conversation{{Role: "user", Content: "ab"}, {Role: "user", Content: "c"}}
	b := dataset.Conversation{{Role: "user", Content: "a"}, {Role: "user", Content: "bc"}}
	if a.Hash() == b.Hash() {
		t.Error("two conversations have one hash")
	}
}

func TestHashText(t *testing.T) {
	h := dataset.HashOf("x")
	var back dataset.Hash
	raw, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &back); err != nil || back != h {
		t.Errorf("%s reads back as %s: %v", raw, back, err)
	}
	for _, bad := range []string{"", "00", h.String() + "00", "zz" + h.String()[2:]} {
		if _, err := dataset.ParseHash(bad); err == nil {
			t.Errorf("%q is taken for a hash", bad)
		}
	}
}

func TestJudgeHash(t *testing.T) {
	j := dataset.Judge{Backend: "ollama", Model: "m:latest", Digest: "d", Template: "t", Mode: "token", Options: map[string]string{"seed": "1", "top_k": "2"}}
	renamed := j
	renamed.Model = "copy"
	if j.Hash() != renamed.Hash() {
		t.Error("a model under another name is another judge")
	}
	for name, change := range map[string]func(*dataset.Judge){
		"digest":   func(j *dataset.Judge) { j.Digest = "e" },
		"template": func(j *dataset.Judge) { j.Template = "u" },
		"mode":     func(j *dataset.Judge) { j.Mode = "vote" },
		"backend":  func(j *dataset.Judge) { j.Backend = "openai" },
		"options":  func(j *dataset.Judge) { j.Options = map[string]string{"seed": "2", "top_k": "2"} },
	} {
		o := j
		change(&o)
		if o.Hash() == j.Hash() {
			t.Errorf("another %s is the same judge", name)
		}
	}
	// A store gives back an empty map where there was none.
	none, empty := j, j
	none.Options, empty.Options = nil, map[string]string{}
	if none.Hash() != empty.Hash() {
		t.Error("no options and an empty map of options are two judges")
	}
}

func TestConversationJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := conversation().Draw(t, "conversation")
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back dataset.Conversation
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
	})
	var c dataset.Conversation
	if err := json.Unmarshal([]byte(`null`), &c); err != nil || c != nil {
		t.Errorf("null is read as %+v, %v", c, err)
	}
	for _, bad := range []string{`3`, `{"role":"user"}`, `[{"role":"user"}]`, `[{"content":"x"}]`, `["x"]`, `"\ud800"`} {
		if err := json.Unmarshal([]byte(bad), &c); err == nil {
			t.Errorf("%s is read as %+v", bad, c)
		}
	}
}

func TestObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o dataset.Object
		keys := rapid.SliceOfNDistinct(text(), 0, 6, rapid.ID).Draw(t, "keys")
		for _, k := range keys {
			if err := o.Set(k, text().Draw(t, "value")); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(raw) {
			t.Fatalf("%s is not JSON", raw)
		}
		var back dataset.Object
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		again, err := back.MarshalJSON()
		if err != nil || string(again) != string(raw) {
			t.Fatalf("%s comes out as %s, %v", raw, again, err)
		}
		for i, k := range keys {
			if back[i].Key != k {
				t.Fatalf("key %d is %q, was %q", i, back[i].Key, k)
			}
		}
	})
	var o dataset.Object
	if err := o.UnmarshalJSON([]byte(`{"a":1,"b":{"c":[]}}`)); err != nil {
		t.Fatal(err)
	}
	if err := o.Set("a", "x"); err != nil {
		t.Fatal(err)
	}
	if raw, _ := o.MarshalJSON(); string(raw) != `{"a":"x","b":{"c":[]}}` {
		t.Errorf("a replaced value gives %s", raw)
	}
	if o.Get("absent") != nil {
		t.Error("an absent key has a value")
	}
	if err := o.Set("f", func() {}); err == nil {
		t.Error("a function is a value")
	}
	for _, bad := range []string{``, `null`, `[]`, `{`, `{"a"}`, `{"a":1,}`, `{"a":1,"a":2}`, `{"a":01}`, `{"a":1} x`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`} {
		if err := o.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%q is read as an object", bad)
		}
	}
}
