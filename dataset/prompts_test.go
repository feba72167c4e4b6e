package dataset_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"cai/dataset"
)

func asked(t *testing.T, file, text string) ([]*dataset.Asked, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out []*dataset.Asked
	for a, err := range dataset.Prompts(name, dataset.ReadOptions{}) {
		if err != nil {
			return out, err
		}
		out = append(out, a)
	}
	return out, nil
}

func TestPromptsOfAnyRecord(t *testing.T) {
	for _, tt := range []struct{ in, prompt, object string }{
		{`{"id":"x","prompt":"p","topic":7}`, `"p"`, `{"id":"x","prompt":"p","topic":7}`},
		{`{"messages":[{"role":"user","content":"p"}],"k":1}`, `"p"`, `{"messages":[{"role":"user","content":"p"}],"k":1}`},
		{`{"id":1,"messages":[{"role":"user","content":"p"},{"role":"assistant","content":"r"}],"k":1}`, `"p"`, `{"id":1,"prompt":"p","k":1}`},
		{`{"prompt":"p","chosen":"a","rejected":"b","mc":"m"}`, `"p"`, `{"prompt":"p","mc":"m"}`},
		{`{"prompt":"p","responses":["a"],"dataset":"d"}`, `"p"`, `{"prompt":"p","dataset":"d"}`},
		{`{"prompt":"p","response":"r"}`, `"p"`, `{"prompt":"p"}`},
		{`{"instruction":"do","input":"this","output_1":"a","output_2":"b","label":1}`, `"do\n\nthis"`, `{"instruction":"do","input":"this","label":1}`},
		{`{"chosen":"\n\nHuman: p\n\nAssistant: a","rejected":"\n\nHuman: p\n\nAssistant: b"}`, `"p"`, `{"prompt":"p"}`},
	} {
		got, err := asked(t, "in.jsonl", tt.in+"\n")
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d prompts, %v", tt.in, len(got), err)
			continue
		}
		p, err1 := json.Marshal(got[0].Prompt)
		o, err2 := json.Marshal(got[0].Object)
		if err1 != nil || err2 != nil || string(p) != tt.prompt || string(o) != tt.object {
			t.Errorf("%s: prompt %s, record %s", tt.in, p, o)
		}
	}
}

func TestPromptsOfATextAndACSV(t *testing.T) {
	got, err := asked(t, "p.txt", "Why is the sky blue?\n")
	if err != nil || len(got) != 1 || got[0].Object != nil {
		t.Fatalf("%v, %v", got, err)
	}
	if text, _ := got[0].Prompt.Text(); text != "Why is the sky blue?\n" {
		t.Errorf("%q", text)
	}
	got, err = asked(t, "p.csv", "id,prompt,type\n1,How?,safe\n2,Why?,unsafe\n")
	if err != nil || len(got) != 2 || got[1].Source.ID != "2" || string(got[1].Object.Get("type")) != `"unsafe"` {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestNoPromptIsAnError(t *testing.T) {
	for _, in := range []string{`{"k":1}`, `{"prompt":""  ,"k":[}`, `{"messages":[]}`, `{"response":"r"}`} {
		if got, err := asked(t, "in.jsonl", in+"\n"); err == nil {
			t.Errorf("%s: %+v", in, got[0])
		}
	}
}
