package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"cai/constitution"
	"cai/judge"
	"cai/llm/fakeollama"
)

// examination runs cai doctor against a fake server.
func examination(t *testing.T, o fakeollama.Options, model string, args ...string) (int, doctorJSON, *fakeollama.Server) {
	t.Helper()
	t.Chdir(t.TempDir())
	fake := fakeollama.New(o)
	web := httptest.NewServer(fake)
	t.Cleanup(web.Close)
	principles := []byte(`name = "small"
[[principle]]
id = "honest"
title = "Honesty"
critique = "Say where the reply is false. If it is not, write: True."
revision = "Rewrite the reply so that it is true."
compare = "Which reply is more honest?"
`)
	if rest, ok := strings.CutPrefix(model, "openai:"); ok {
		model = "openai:" + rest + "@" + web.URL
	}
	var out, errs bytes.Buffer
	args = append([]string{"doctor", "--json", "--host", web.URL, "--model", model}, args...)
	code := Run(t.Context(), args, Env{In: strings.NewReader(""), Out: &out, Err: &errs, Principles: principles})
	var d doctorJSON
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatalf("exit %d: %v in %q; stderr %s", code, err, out.String(), errs.String())
	}
	if d.OK != (code == ExitOK) {
		t.Errorf("exit %d with ok %t", code, d.OK)
	}
	for _, k := range d.Checks {
		if k.OK != (k.Verdict != "fail") || k.Text == "" || k.Verdict != "pass" && k.Verdict != "warn" && k.Verdict != "fail" {
			t.Errorf("check %+v", k)
		}
	}
	if n := len(d.Checks) + len(d.NotTried); n != len(checks) {
		t.Errorf("%d checks and %d that were not tried, want %d together: %+v", len(d.Checks), len(d.NotTried), len(checks), d.NotTried)
	}
	return code, d, fake
}

func (d *doctorJSON) verdict(name string) string {
	for _, k := range d.Checks {
		if k.Name == name {
			return k.Verdict
		}
	}
	return ""
}

func (d *doctorJSON) shape(name string) shapeJSON {
	for _, s := range d.Shapes {
		if s.Name == name {
			return s
		}
	}
	return shapeJSON{}
}

// goodness is what a good judge thinks of the built-in replies.
var goodness = func() map[string]float64 {
	m := map[string]float64{}
	for _, p := range judge.Probes() {
		m[p.Good], m[p.Bad] = 1, -1
	}
	return m
}()

func quality(reply string) float64 { return goodness[reply] }

var oneJudge = []fakeollama.Model{{Name: "judge"}}

// only makes a judge that follows prompts that hold a text, and sees the first
// slot in all others.
func only(text string) func(fakeollama.Request) fakeollama.Answer {
	return func(r fakeollama.Request) fakeollama.Answer {
		p := r.Prompt()
		first, z := 0, 1.0
		for reply, q := range goodness {
			if at := strings.Index(p, reply); at >= 0 && (first == 0 || at < first) {
				first, z = at, 2*q
			}
		}
		if !strings.Contains(p, text) {
			z = 0
		}
		s := 1 + z // with a bias
		pa := 0.9 / (1 + math.Exp(-s))
		return fakeollama.Answer{First: map[string]float64{"A": pa, "B": 0.9 - pa}}
	}
}

func TestAnotherShapeIsRecommendedWhereTheDefaultFails(t *testing.T) {
	code, d, _ := examination(t, fakeollama.Options{Models: oneJudge, Answer: only("### Reply A")}, "judge")
	if code != ExitOK || d.Shape != "headings" || d.verdict("shape") != "warn" {
		t.Errorf("exit %d, shape %q: %+v", code, d.Shape, d.Shapes)
	}
	if s := d.shape("headings"); s.Pairs != 40 || s.Right != 40 || len(s.Wrong) != 0 || !s.Recommended {
		t.Errorf("%+v", s)
	}
	if s := d.shape("question"); s.Pairs != 40 || s.Right != 0 || len(s.Wrong) != 40 || s.SameSlot != 40 || s.Recommended {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{"choose", "system", "bare", "start"} {
		if s := d.shape(name); s.Pairs != dozen || s.Recommended {
			t.Errorf("%+v: has no signal, and a dozen pairs are enough to see that", s)
		}
	}
}

// A signal that is a quarter stronger, with as many right, is worth a change;
// less is not.
func TestAStrongerShapeIsRecommended(t *testing.T) {
	for _, tt := range []struct {
		factor float64
		want   string
	}{{1.5, "bare"}, {1.1, "question"}} {
		base := only("")
		code, d, _ := examination(t, fakeollama.Options{Models: oneJudge, Answer: func(r fakeollama.Request) fakeollama.Answer {
			a := base(r)
			if strings.HasSuffix(r.Prompt(), "honest and harmless?") {
				s := 1 + (logit(a.First["A"]/0.9)-1)*tt.factor
				a.First["A"] = 0.9 / (1 + math.Exp(-s))
				a.First["B"] = 0.9 - a.First["A"]
			}
			return a
		}}, "judge")
		if code != ExitOK || d.Shape != tt.want {
			t.Errorf("with a signal %v times as strong: exit %d, shape %q, want %q: %+v", tt.factor, code, d.Shape, tt.want, d.Shapes)
		}
	}
}

func TestAnswersThatTurnRoundAreSeen(t *testing.T) {
	base := only("")
	var seen sync.Map
	_, d, _ := examination(t, fakeollama.Options{Models: oneJudge, Answer: func(r fakeollama.Request) fakeollama.Answer {
		a := base(r)
		if _, before := seen.LoadOrStore(r.Prompt(), true); before {
			a.First["A"], a.First["B"] = a.First["B"], a.First["A"]
		}
		return a
	}}, "judge")
	if d.verdict("flip_rate") != "warn" {
		t.Errorf("flip rate %q: %+v", d.verdict("flip_rate"), d.Checks)
	}
}

func TestModelsThatThinkAndModelsThatCannotChat(t *testing.T) {
	thinks := []string{"completion", "thinking"}
	o := fakeollama.Options{Quality: quality, Models: []fakeollama.Model{
		{Name: "thinker", Capabilities: thinks},
		{Name: "stubborn", Capabilities: thinks, Family: "gptoss"},
		{Name: "embedder", Capabilities: []string{"embedding"}, Family: "bert"},
	}}
	code, d, fake := examination(t, o, "thinker")
	if code != ExitOK || d.verdict("capabilities") != "pass" || d.verdict("structured_output") != "pass" {
		t.Errorf("thinker: exit %d, %+v", code, d.Checks)
	}
	thought := 0
	for _, r := range fake.Requests() {
		if r.Think == nil {
			t.Fatal("a call leaves open whether to think")
		}
		if *r.Think {
			thought++
		}
	}
	if thought != 1 {
		t.Errorf("%d calls had the model think, want the one for a schema", thought)
	}
	if code, d, _ = examination(t, o, "stubborn"); code != ExitOK || d.verdict("capabilities") != "warn" {
		t.Errorf("stubborn: exit %d, %+v", code, d.Checks)
	}
	if code, d, fake = examination(t, o, "embedder"); code != ExitCheck || d.verdict("capabilities") != "fail" || fake.Calls() != 0 {
		t.Errorf("embedder: exit %d, %+v", code, d.Checks)
	}
}

func TestADoctorForServersOfAnotherProtocol(t *testing.T) {
	code, d, _ := examination(t, fakeollama.Options{Models: oneJudge, Quality: quality}, "openai:judge")
	if code != ExitOK || d.verdict("truncation") != "pass" || d.verdict("template") != "" || d.verdict("model") != "warn" || d.Shape != "question" {
		t.Errorf("exit %d, %+v", code, d)
	}
}

func TestQuestionsThatFailAreCounted(t *testing.T) {
	// Every thirteenth answer is empty.
	code, d, _ := examination(t, fakeollama.Options{Models: oneJudge, Quality: quality, Fault: func(r fakeollama.Request) fakeollama.Fault {
		if r.MaxTokens == 1 && r.Number > 5 && r.Number%13 == 0 {
			return fakeollama.FaultEmpty
		}
		return fakeollama.FaultNone
	}}, "judge")
	s := d.shape("question")
	if s.Failed == 0 || s.Pairs != 40 || s.Right != 40-s.Failed {
		t.Errorf("exit %d, %+v", code, s)
	}
	if code != ExitOK || d.Shape == "" || d.verdict("builtin_pairs") != "warn" {
		t.Errorf("exit %d, %d right is a %s: %+v", code, s.Right, d.verdict("builtin_pairs"), d.Shapes)
	}
}

// The first Ctrl-C gives up the call in flight, and no other one is made. It is
// told what is true: the next run begins anew.
func TestADoctorCanBeStopped(t *testing.T) {
	t.Chdir(t.TempDir())
	const last = 20 // of some 280
	stop := make(chan struct{})
	var calls atomic.Int64
	fake := fakeollama.New(fakeollama.Options{Models: oneJudge, Quality: quality})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/chat" && calls.Add(1) == last {
			close(stop)
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client has left
			<-r.Context().Done()
			return
		}
		fake.ServeHTTP(w, r)
	}))
	defer web.Close()
	var out, errs bytes.Buffer
	code := Run(t.Context(), []string{"doctor", "--host", web.URL, "--model", "judge"}, Env{
		In: strings.NewReader(""), Out: &out, Err: &errs, Stop: stop,
		Principles: []byte("name = \"x\"\n[[principle]]\nid = \"a\"\ntitle = \"A\"\ncritique = \"Say what is wrong.\"\nrevision = \"Mend it.\"\ncompare = \"Which reply is better?\"\n"),
	})
	// One more lets the server unload the model.
	if code != ExitInterrupted || calls.Load() > last+1 {
		t.Errorf("exit %d after %d calls, the stop being at number %d", code, calls.Load(), last)
	}
	if said := errs.String(); !strings.Contains(said, "stopped") || strings.Contains(said, "go on") {
		t.Errorf("it says %q", said)
	}
	if strings.Contains(out.String(), "FAIL") {
		t.Errorf("being stopped is shown as a fault of the server: %s", out.String())
	}
}

func TestAVerdictOnASchema(t *testing.T) {
	for answer, want := range map[string]string{
		`{"verdict":"refused","grade":3}`:             "kept",
		` {"grade":-1,"verdict":"accepted"} `:         "kept",
		`{"verdict":"maybe","grade":3}`:               "the list of values is not kept to",
		`{"verdict":"refused"}`:                       "a field is missing",
		`The sky is blue because light is scattered.`: "the answer is no JSON",
		``: "the answer is no JSON",
	} {
		if got := keeps(answer); got != want {
			t.Errorf("%q: %s, want %s", answer, got, want)
		}
	}
	for _, answer := range []string{`{"verdict":"refused","grade":3,"more":1}`, `{"verdict":"refused","grade":"3"}`, `{"verdict":"refu`} {
		if got := keeps(answer); !strings.HasPrefix(got, "the answer is not by the schema") {
			t.Errorf("%q: %s", answer, got)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, tt := range []struct {
		a    string
		want bool
	}{{"0.12.10", true}, {"0.12.11", false}, {"0.17.4", false}, {"0.9", true}, {"1.0.0-rc1", false}, {"0.5.13-rc3", true}, {"dev", false}, {"", false}} {
		if got := older(tt.a, "0.12.11"); got != tt.want {
			t.Errorf("%q is older than 0.12.11: %t", tt.a, got)
		}
	}
}

// A change of shape is never recommended both ways, nor for the same figures.
func TestABetterShapeIsBetterOneWay(t *testing.T) {
	trial := func(t *rapid.T, name string) *judge.Trial {
		var tr judge.Trial
		for _, z := range rapid.SliceOfN(rapid.Float64Range(-3, 3), 12, 12).Draw(t, name) {
			tr.Add(judge.Preference{Z: z, Coverage: rapid.Float64Range(0, 1).Draw(t, "coverage")})
		}
		return &tr
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := trial(t, "a"), trial(t, "b")
		if beats(a, b) && beats(b, a) {
			t.Fatalf("each is better than the other: %d right, z %v; %d right, z %v", a.Right, a.Z(), b.Right, b.Z())
		}
		if beats(a, a) {
			t.Fatalf("it is better than itself: %d right, z %v", a.Right, a.Z())
		}
	})
}

func TestTheFillerHasTheSizeThatWasAskedFor(t *testing.T) {
	for _, n := range []int{1, 400, 2400, 30000} {
		f := filler(n)
		got := len(f[0]) + len(f[1]) + len(f[2])
		if got < n-3 || got > n+600 || f[0] == "" || f[1] == "" || f[2] == "" || f[1] == f[2] {
			t.Errorf("%d bytes asked for, %d came: %q", n, got, f[0])
		}
	}
}

// A constitution of few principles is asked in as many texts as one of many.
func TestQuestionsOfFewPrinciplesAreDifferent(t *testing.T) {
	d := &doctor{asked: []constitution.Principle{{ID: "a", Compare: "Which reply is better?"}, {ID: "b", Compare: "Which reply is kinder?"}}}
	seen := map[string]bool{}
	for _, p := range d.questions(groupSize) {
		if seen[p.Compare] {
			t.Errorf("%q is asked twice", p.Compare)
		}
		seen[p.Compare] = true
	}
}

func TestHostsWithOtherWeightsAreNamed(t *testing.T) {
	other := httptest.NewServer(fakeollama.New(fakeollama.Options{Models: []fakeollama.Model{{Name: "judge", Digest: strings.Repeat("ab", 32)}}}))
	defer other.Close()
	code, d, _ := examination(t, fakeollama.Options{Models: oneJudge, Quality: quality}, "judge", "--host", other.URL)
	if code != ExitOK || d.verdict("model") != "warn" {
		t.Errorf("exit %d, %+v", code, d.Checks)
	}
	for _, k := range d.Checks {
		if k.Name == "model" && !strings.Contains(k.Text, other.URL+" has other weights, abababababab") {
			t.Error(k.Text)
		}
	}
}

// A shape that is right as often and has the model answer with a letter is
// better than one that leaves it to write prose, though its signal be weaker.
func TestAShapeThatCoversTheAnswersIsRecommended(t *testing.T) {
	base := only("")
	code, d, _ := examination(t, fakeollama.Options{Models: oneJudge, Answer: func(r fakeollama.Request) fakeollama.Answer {
		a := base(r)
		p := r.Prompt()
		s := logit(a.First["A"] / 0.9)
		cover := 0.3
		if strings.Contains(p, "Choose the reply") && strings.HasSuffix(p, "single letter, A or B.") && len(r.Messages) == 1 {
			s, cover = 1+(s-1)/2, 0.95
		}
		pa := 1 / (1 + math.Exp(-s))
		return fakeollama.Answer{First: map[string]float64{"A": cover * pa, "B": cover * (1 - pa)}}
	}}, "judge")
	if code != ExitOK || d.Shape != "choose" || d.verdict("coverage") != "pass" {
		t.Errorf("exit %d, shape %q: %+v", code, d.Shape, d.Shapes)
	}
	full := 0
	for _, s := range d.Shapes {
		if s.Pairs == 40 {
			full++
		}
	}
	if full != 3 { // the default and the two that promise most
		t.Errorf("%d shapes were tried on all pairs: %+v", full, d.Shapes)
	}
}
