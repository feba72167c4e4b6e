package llm_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/llm"
)

func TestParseOptions(t *testing.T) {
	got, err := llm.ParseOptions([]string{
		"num_thread=1", " num_ctx = 8192", "temperature=0.50", "temperature=-0", "top_p=1e-1", "use_mmap=TRUE", "seed=-7",
		"stop=\n\n", `stop=["a","b"]`, "keep_alive=300s", "typical_p=0.1",
	})
	want := map[string]string{
		"num_thread": "1", "num_ctx": "8192", "temperature": "0", "top_p": "0.1", "use_mmap": "true", "seed": "-7",
		"stop": `["\n\n","a","b"]`, "keep_alive": "5m0s", "typical_p": "0.1",
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if answer := llm.AnswerOptions(got); !maps.Equal(answer, map[string]string{
		"temperature": "0", "top_p": "0.1", "seed": "-7", "stop": `["\n\n","a","b"]`, "typical_p": "0.1",
	}) {
		t.Errorf("options that change answers: %q", answer)
	}
}

func TestParseOptionsRejects(t *testing.T) {
	for in, want := range map[string]string{
		"num_ctx":           "KEY=VALUE",
		"=3":                "KEY=VALUE",
		"num_ctxs=3":        "did you mean num_ctx?",
		"temprature=3":      "did you mean temperature?",
		"NUM_CTX=3":         "did you mean num_ctx?",
		"zzzzzzzzzzzzzzz=3": "known are",
		"num_ctx=lots":      "whole number",
		"num_ctx=0":         "not between",
		"num_ctx=1.5":       "whole number",
		"temperature=NaN":   "a number",
		"temperature=-1":    "not between",
		"top_p=1.1":         "not between",
		"use_mmap=maybe":    "true or false",
		"keep_alive=soon":   "duration",
		"stop=":             "text",
		`stop=["a",""]`:     "empty",
	} {
		if _, err := llm.ParseOptions([]string{in}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// An option read once is in its last spelling: reading it again changes nothing,
// and a client takes it.
func FuzzParseOptions(f *testing.F) {
	for _, s := range []string{"num_ctx=8192", "temperature=0.1", "stop=[\"a\"]", "stop=[", "keep_alive=-1", "keep_alive=1h", "use_mmap=1", "seed=+3", "top_p=1e-300", "x", "=\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := llm.ParseOptions([]string{s})
		if err != nil {
			return
		}
		for k, v := range once {
			again, err := llm.ParseOptions([]string{k + "=" + v})
			if err != nil || !maps.Equal(once, again) {
				t.Fatalf("%q gives %q and then %q, %v", s, once, again, err)
			}
		}
		if _, err := llm.Open(llm.Config{Model: "m", Hosts: []string{"localhost"}, Options: once}); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

// Whatever is given as an address, what is shown of it holds nothing of a
// password, and nothing panics.
func FuzzParseHost(f *testing.F) {
	for _, s := range []string{"", "localhost:1", "http://u:pw@h:1/x", "u:pw@h", "[::1]:2", "https://h/a/b", "://", "h:-1", "%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := llm.ParseHost(s)
		if err != nil {
			return
		}
		shown := llm.Redact(u)
		if strings.Contains(shown, "@") && !strings.Contains(u.Path, "@") {
			t.Errorf("%q is shown as %q", s, shown)
		}
		again, err := llm.ParseHost(shown)
		if err != nil || again.Host != u.Host {
			t.Errorf("%q is shown as %q, which is read as %v, %v", s, shown, again, err)
		}
	})
}

func TestAnswerOptionsKeepsNoOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := map[string]string{}
		for _, k := range rapid.SliceOf(rapid.SampledFrom([]string{"num_ctx", "num_thread", "num_gpu", "num_batch", "main_gpu", "use_mmap", "keep_alive", "num_predict", "num_keep", "seed", "top_k"})).Draw(t, "keys") {
			in[k] = "1"
		}
		for k := range llm.AnswerOptions(in) {
			if !slices.Contains([]string{"seed", "top_k"}, k) {
				t.Errorf("%s does not change answers", k)
			}
		}
	})
}
