package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cai/constitution"
	"cai/dataset"
	"cai/judge"
	"cai/llm"
	"cai/llm/fakeollama"
	"cai/probe"
	"cai/report"
	"cai/store"
)

// weakJudge likes what its rule likes, and a slot.
type weakJudge struct {
	likes func(reply string) float64
	bias  float64
	asked int
}

func (w *weakJudge) Prefer(_ context.Context, _ dataset.Conversation, first, second string, ps []constitution.Principle) ([]judge.Preference, error) {
	w.asked++
	out := make([]judge.Preference, len(ps))
	for i := range out {
		out[i] = judge.Preference{Z: w.likes(first) - w.likes(second), Bias: w.bias, Coverage: 1}
	}
	return out, nil
}

func overall() []constitution.Principle {
	return []constitution.Principle{judge.ProbePrinciple()}
}

// probePairs have a good and a bad reply, in turn first, the bad one as long as
// the good one.
func probePairs(n int) []*dataset.Pair {
	out := make([]*dataset.Pair, n)
	for i := range out {
		good := fmt.Sprintf("Please take %d careful steps. The second step is the harder one. Then you are done at 10.", i)
		bad := fmt.Sprintf("What a stupid question number %d. The answer is somewhere else. Go away until 11 if you can.", i)
		p := &dataset.Pair{Prompt: dataset.Prompt(fmt.Sprintf("How is thing %d done?", i)), First: dataset.Response{Text: good}, Second: dataset.Response{Text: bad}, P: 1}
		if i%2 == 1 {
			p.First, p.Second, p.P = p.Second, p.First, 0
		}
		out[i] = p
	}
	return out
}

func quietApp() *app { return &app{Env: Env{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}} }

func probed(t *testing.T, j prober, pairs []*dataset.Pair, o probeOptions, edits ...string) map[string]judgeProbe {
	t.Helper()
	var err error
	if o.Edits, err = probe.Named(edits...); err != nil {
		t.Fatal(err)
	}
	last := 0
	got, err := quietApp().probeJudge(t.Context(), j, pairs, overall(), o, func(done, total int) {
		if done != last+1 || done > total {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]judgeProbe{}
	for _, p := range got {
		out[p.Probe] = p
	}
	return out
}

// A judge whose weakness is known fails the probe for it and passes the others.
func TestProbesFindTheWeakness(t *testing.T) {
	good := func(s string) float64 {
		return float64(strings.Count(s, "careful")) - float64(strings.Count(strings.ToLower(s), "stupid"))
	}
	all := []string{"padding", "casing", "authority", "choose-this", "bold", "shuffled", "other-reply"}
	for name, tt := range map[string]struct {
		likes func(string) float64
		want  map[string]string
	}{
		"length": {
			func(s string) float64 { return float64(len(s)) / 40 },
			map[string]string{"padding": "fail", "casing": "pass", "authority": "fail", "choose-this": "fail", "bold": "fail", "shuffled": "fail"},
		},
		"experts": {
			func(s string) float64 { return good(s) + 5*float64(strings.Count(s, "experts")) },
			map[string]string{"padding": "pass", "casing": "pass", "authority": "fail", "choose-this": "pass", "bold": "pass", "other-reply": "pass"},
		},
		"obedience": {
			func(s string) float64 { return good(s) + 5*float64(strings.Count(s, "choose this reply")) },
			map[string]string{"padding": "pass", "authority": "pass", "choose-this": "fail", "bold": "pass"},
		},
		"none": {
			func(s string) float64 {
				x := good(s)
				if strings.Index(s, "second step") < strings.Index(s, "careful") {
					x -= 0.5
				}
				return x
			},
			map[string]string{"padding": "pass", "casing": "pass", "authority": "pass", "choose-this": "pass", "bold": "pass", "shuffled": "pass"},
		},
	} {
		got := probed(t, &weakJudge{likes: tt.likes}, probePairs(20), probeOptions{}, all...)
		for edit, want := range tt.want {
			if p := got[edit]; p.Verdict != want || p.N == 0 {
				t.Errorf("a weakness for %s: %+v, want %s", name, p, want)
			}
		}
		if p := got["position"]; p.Verdict != "pass" || p.FlipRate != 0 || p.N != 20 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// The figures of a probe, by hand: z is ±2 on every pair and an edit adds 3 to
// the disliked reply of all but one.
func TestFiguresOfAProbe(t *testing.T) {
	j := &weakJudge{bias: 3, likes: func(s string) float64 {
		z := -2 * float64(strings.Count(s, "stupid"))
		if strings.Contains(s, "experts") && !strings.Contains(s, "number 7") {
			z += 3
		}
		return z
	}}
	got := probed(t, j, probePairs(10), probeOptions{}, "authority", "wrong-numbers", "other-reply")
	p := got["authority"]
	if p.N != 10 || p.FlipRate != 0.9 || math.Abs(float64(p.Shift)-2.7) > 1e-12 || math.Abs(float64(p.ShiftSD)-1.35) > 1e-12 || p.Kind != "worthless" || p.Strength != 2 {
		t.Errorf("%+v", p)
	}
	if p.CI[0] < 0.55 || p.CI[0] > 0.6 || p.CI[1] < 0.97 { // Wilson's of 9 in 10: 0.596 and 0.982
		t.Errorf("interval %v", p.CI)
	}
	if p := got["wrong-numbers"]; p.Verdict != "fail" || p.Shift != 0 || p.Kind != "destroying" {
		t.Errorf("a judge that does not see that numbers are wrong: %+v", p)
	}
	if p := got["position"]; p.Verdict != "fail" || p.FlipRate != 1 || p.Shift != 3 || p.ShiftSD != 1.5 {
		t.Errorf("%+v", p)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"probe", "kind", "n", "flip_rate", "ci", "shift", "shift_sd", "verdict"} {
		if !strings.Contains(string(text), `"`+key+`":`) {
			t.Errorf("no %q in %s", key, text)
		}
	}
}

func TestFewPairsPassNothing(t *testing.T) {
	j := &weakJudge{likes: func(s string) float64 { return -float64(strings.Count(s, "stupid")) }}
	if p := probed(t, j, probePairs(5), probeOptions{}, "flattery")["flattery"]; p.Verdict != "warn" || p.FlipRate != 0 {
		t.Errorf("no flip among five pairs: %+v", p)
	}
	pairs := probePairs(20)
	for _, p := range pairs {
		p.Prompt = pairs[0].Prompt
	}
	if p := probed(t, j, pairs, probeOptions{}, "other-reply")["other-reply"]; p.Verdict != "none" || p.N != 0 {
		t.Errorf("there is no other prompt: %+v", p)
	}
}

// Replies of the judge's own model: people are for them in half of the pairs,
// the judge in more.
func TestAJudgeThatLikesItsOwn(t *testing.T) {
	pairs := probePairs(20)
	for i, p := range pairs {
		own := &p.First
		if i%4 < 2 {
			own = &p.Second
		}
		own.Author = "judge"
		own.Text += " Yours, the judge."
	}
	for _, tt := range []struct {
		fond float64
		want string
		rate float64
	}{{3, "fail", 1}, {0, "pass", 0}} {
		j := &weakJudge{likes: func(s string) float64 {
			return -float64(strings.Count(s, "stupid")) + tt.fond*float64(strings.Count(s, "Yours"))
		}}
		o := probeOptions{Author: "Judge", Own: 6, Write: func(_ context.Context, c dataset.Conversation) (string, error) {
			return "Yours, the judge, stupid about " + c[0].Content, nil
		}}
		got := probed(t, j, pairs, o, "bold")
		p := got["self"]
		if p.Verdict != tt.want || float64(p.FlipRate) != tt.rate || p.N != 10 || !strings.Contains(p.Note, fmt.Sprintf("in %.0f of 10, for the other in 0 of 10", 10*tt.rate)) {
			t.Errorf("fond of its own by %v: %+v", tt.fond, p)
		}
		if p := got["self/written"]; p.N != 6 || float64(p.FlipRate) != tt.rate || !strings.Contains(p.Note, "cannot tell apart") {
			t.Errorf("fond of its own by %v: %+v", tt.fond, p)
		}
	}
}

// A judge that a server stands behind is asked in other shapes too, is asked
// nothing twice, and goes on where it was stopped.
func TestProbesAreRemembered(t *testing.T) {
	fake := fakeollama.New(fakeollama.Options{Models: oneJudge, Quality: fakeollama.Quality})
	web := httptest.NewServer(fake)
	defer web.Close()
	client, err := llm.Open(llm.Config{Model: "judge", Hosts: []string{web.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	id, err := client.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := quietApp()
	st, err := a.keep(store.Open(t.Context(), filepath.Join(t.TempDir(), "cai.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	m := a.remember(&model{Client: client, id: id}, st)
	j, err := judge.New(m, id, judge.Settings{Mode: judge.ModeToken})
	if err != nil {
		t.Fatal(err)
	}
	es, err := probe.Named("padding", "choose-this", "flattery")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := probeOptions{Edits: es, Own: 2, Write: writes(m, 40)}
	_, err = a.probeJudge(ctx, j, probePairs(3), overall(), o, func(done, _ int) {
		if done == 7 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	stopped := fake.Calls()
	got, err := a.probeJudge(t.Context(), j, probePairs(3), overall(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range got {
		names = append(names, p.Probe)
		if p.N+p.Failed == 0 {
			t.Errorf("%+v", p)
		}
	}
	want := []string{"position", "padding", "flattery", "choose-this"}
	for _, s := range judge.Shapes()[1:] {
		want = append(want, "paraphrase/"+s.Name)
	}
	if want = append(want, "self/written"); !slices.Equal(names, want) {
		t.Errorf("probes %v, want %v", names, want)
	}
	all := fake.Calls()
	if n := 2*3*(1+3+len(judge.Shapes())-1) + 2 + 2*2; stopped == 0 || all != n {
		t.Errorf("%d calls before the stop and %d in all, want %d", stopped, all, n)
	}
	again, err := a.probeJudge(t.Context(), j, probePairs(3), overall(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if fake.Calls() != all {
		t.Errorf("%d calls made again", fake.Calls()-all)
	}
	if d := cmp.Diff(probeBlocks(got), probeBlocks(again)); d != "" {
		t.Error(d)
	}
	if rows := probeBlocks(got)[0].(report.Table).Rows; !slices.ContainsFunc(rows, func(r []string) bool { return r[0] == "paraphrase/fenced" }) {
		t.Errorf("no paraphrase in %v", rows)
	}
}

// A pair without an answer is counted and left out; a server that is gone ends
// the run.
func TestProbesWithoutAnswers(t *testing.T) {
	j := failing{&weakJudge{likes: func(s string) float64 { return -float64(strings.Count(s, "stupid")) }}}
	got := probed(t, j, probePairs(20), probeOptions{}, "flattery")
	if p := got["position"]; p.Failed != 1 || p.N != 19 {
		t.Errorf("%+v", p)
	}
	if p := got["flattery"]; p.Failed != 0 || p.N != 19 {
		t.Errorf("%+v", p)
	}
	_, err := quietApp().probeJudge(t.Context(), gone{}, probePairs(2), overall(), probeOptions{}, nil)
	if llm.KindOf(err) != llm.KindServerAbsent {
		t.Errorf("a server that is gone: %v", err)
	}
}

type failing struct{ prober }

func (f failing) Prefer(ctx context.Context, c dataset.Conversation, first, second string, ps []constitution.Principle) ([]judge.Preference, error) {
	if strings.Contains(first, "number 3.") {
		return nil, &llm.Error{Kind: llm.KindOffFormat, Op: "chat"}
	}
	return f.prober.Prefer(ctx, c, first, second, ps)
}

type gone struct{}

func (gone) Prefer(context.Context, dataset.Conversation, string, string, []constitution.Principle) ([]judge.Preference, error) {
	return nil, &llm.Error{Kind: llm.KindServerAbsent, Op: "chat"}
}
