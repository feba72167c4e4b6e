package cli

import (
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"cai/llm"
	"cai/llm/fakeollama"
	"cai/store"
)

// What earlier versions kept of a thinking model is read as answers are now: its
// thoughts are taken off, and where there is nothing else the model is asked.
func TestKeptThoughtsAreNoAnswers(t *testing.T) {
	fake := fakeollama.New(fakeollama.Options{Answer: func(fakeollama.Request) fakeollama.Answer { return fakeollama.Answer{Text: "Fresh."} }})
	web := httptest.NewServer(fake)
	defer web.Close()
	client, err := llm.Open(llm.Config{Model: "judge:1b", Hosts: []string{web.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "cai.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	r := quietApp().remember(&model{Client: client}, st)
	for kept, want := range map[string]string{
		"<think>\nHm.\n</think>\n\nKept.":  "Kept.",
		"It is fine.</think>Kept.":         "Kept.",
		"Kept, and <think> is a tag.":      "Kept, and <think> is a tag.",
		"<think>\nHm, so":                  "Fresh.",
		"<think>\nHm.\n</think>\n":         "Fresh.",
		"<|channel>thought\nHm<channel|>K": "K",
	} {
		req := llm.Request{Messages: []llm.Message{{Role: "user", Content: kept}}, MaxTokens: 9}
		key, err := r.key(req)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(llm.Reply{Text: kept})
		if err != nil {
			t.Fatal(err)
		}
		if err := st.PutAnswer(t.Context(), key, data); err != nil {
			t.Fatal(err)
		}
		heard := ""
		req.OnText = func(s string) { heard += s }
		if got, err := r.Chat(t.Context(), req); err != nil || got.Text != want || heard != want {
			t.Errorf("%q: %+v, heard %q, %v", kept, got, heard, err)
		}
	}
	if fake.Calls() != 2 || r.calls != 2 || r.hits != 4 {
		t.Errorf("%d calls, %d counted, %d answers from the store", fake.Calls(), r.calls, r.hits)
	}
}
