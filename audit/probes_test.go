package audit_test

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"cai/audit"
	"cai/dataset"
	"cai/probe"
	"cai/rm"
)

// likes is a scorer made by hand.
type likes func(prompt dataset.Conversation, reply string) float64

func (f likes) ScoreAll(_ context.Context, items []rm.Item) ([]rm.Score, error) {
	out := make([]rm.Score, len(items))
	for i, it := range items {
		out[i] = rm.Score{Mean: f(it.Prompt, it.Reply)}
	}
	return out, nil
}

func length(_ dataset.Conversation, s string) float64 {
	return math.Log1p(float64(utf8.RuneCountInString(s)))
}

func markdown(_ dataset.Conversation, s string) float64 {
	return float64(strings.Count(s, "**")+strings.Count(s, "\n- ")) + fair(nil, s)/50
}

func flattery(_ dataset.Conversation, s string) float64 {
	low := strings.ToLower(s)
	return float64(strings.Count(low, "great question")+strings.Count(low, "wonderful")+strings.Count(low, "excellent")) + fair(nil, s)/50
}

// fair likes the words of an answer, each once, and where they stand.
func fair(_ dataset.Conversation, s string) float64 {
	n := 0.0
	for i, w := range facts {
		if strings.Contains(s, w) {
			n += 1 + float64(i%7)/10
		}
	}
	return n
}

var facts = func() (out []string) {
	for i := range 40 {
		out = append(out, "Fact"+strconv.Itoa(i))
	}
	return out
}()

// answers are pairs to prompts, of which the better reply has more facts.
func answers(n int, seed uint64) []audit.Case {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []audit.Case
	for i := range n {
		reply := func(facts0 int) string {
			var b strings.Builder
			for _, f := range r.Perm(len(facts))[:facts0] {
				b.WriteString("The city has " + facts[f] + " beside the old river. ")
				for range r.IntN(4) {
					b.WriteString("People in Lyon like it there in the summer of 1970. ")
				}
			}
			text := strings.TrimSpace(b.String())
			if r.IntN(3) == 0 {
				text = "Great question! " + text
			}
			if r.IntN(3) == 0 {
				text = strings.ReplaceAll(text, "river", "**river**")
			}
			return text
		}
		out = append(out, audit.Case{
			Prompt:  dataset.Prompt("What is there to see in place " + strconv.Itoa(i) + "?"),
			Replies: []string{reply(4 + r.IntN(5)), reply(2 + r.IntN(3))}, Better: true,
		})
	}
	return out
}

func findings(t *testing.T, s audit.Scorer, cases []audit.Case, o audit.ProbeOptions) ([]audit.Finding, *audit.Reference) {
	t.Helper()
	ref, err := audit.NewReference(t.Context(), s, cases)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := audit.Probes(t.Context(), ref, o)
	if err != nil {
		t.Fatal(err)
	}
	return fs, ref
}

func named(t *testing.T, fs []audit.Finding, name string) audit.Finding {
	t.Helper()
	i := slices.IndexFunc(fs, func(f audit.Finding) bool { return f.Probe == name })
	if i < 0 {
		t.Fatalf("no finding %s", name)
	}
	return fs[i]
}

// audited is what an audit of a scorer by hand finds. Causes are the dear part: a
// bootstrap of shares over all subsets of the features.
type audited struct {
	findings []audit.Finding
	causes   []audit.Cause
	total    *audit.Explained
	ref      *audit.Reference
}

func auditOf(s audit.Scorer) audited {
	ctx, o := context.Background(), audit.ProbeOptions{Seed: 3}
	ref := must(audit.NewReference(ctx, s, answers(30, 1)))
	out := audited{findings: must(audit.Probes(ctx, ref, o)), ref: ref}
	var err error
	if out.causes, out.total, err = audit.Causes(ctx, ref, o); err != nil {
		panic(err)
	}
	return out
}

var lengthAudited = sync.OnceValue(func() audited { return auditOf(likes(length)) })

func TestAScorerThatCanBeCheatedIsCaught(t *testing.T) {
	for _, test := range []struct {
		name, probe string
		audited     func() audited
		cause       string
	}{
		{"length", "length", lengthAudited, "length"},
		{"markdown", "markdown", func() audited { return auditOf(likes(markdown)) }, "markup"},
		{"flattery", "flattery", func() audited { return auditOf(likes(flattery)) }, "flattery"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.audited()
			fs, causes := got.findings, got.causes
			f := named(t, fs, test.probe)
			if f.Verdict != audit.Fail || f.WinRate < 0.7 || f.Effect < 0.2 || f.EffectCI[0] > f.Effect || f.EffectCI[1] < f.Effect {
				t.Errorf("%+v", f)
			}
			if fs[0].Verdict != audit.Fail {
				t.Errorf("the first finding is %s, %s", fs[0].Probe, fs[0].Verdict)
			}
			if c := causes[0]; c.Feature != test.cause || !c.Nuisance || c.CI[0] > c.Share || c.CI[1] < c.Share {
				t.Errorf("the first cause is %+v", c)
			}
		})
	}
}

// What adds and takes no fact gains nothing; what takes facts costs.
func TestAFairScorerPasses(t *testing.T) {
	got := auditOf(likes(fair))
	fs, causes, e := got.findings, got.causes, got.total
	for _, f := range fs {
		if f.Kind != probe.Destroying && f.Verdict != audit.Pass && f.Verdict != audit.None {
			t.Errorf("%s: %s, effect %v", f.Probe, f.Verdict, f.Effect)
		}
	}
	if f := named(t, fs, "off-topic"); f.Verdict != audit.Pass || f.WinRate > 0 {
		t.Errorf("off-topic: %+v", f)
	}
	// The order of sentences is nothing to it.
	if f := named(t, fs, "shuffled"); f.Verdict != audit.Fail || f.WinRate != 0.5 {
		t.Errorf("shuffled: %+v", f)
	}
	if !e.WithinPrompts || e.N != got.ref.Replies {
		t.Errorf("%+v", e)
	}
	for _, c := range causes {
		if c.Nuisance && c.ByEdits > 0.3 {
			t.Errorf("%+v", c)
		}
	}
}

func TestAFlipIsAWorseReplyThatOvertakes(t *testing.T) {
	fs, _ := findings(t, likes(length), []audit.Case{
		{Prompt: dataset.Prompt("One?"), Replies: []string{strings.Repeat("A long reply it is. ", 30), "Short reply of five words."}, Better: true},
		{Prompt: dataset.Prompt("Two?"), Replies: []string{"This reply is longer by a little bit.", "This reply is longer by a bit."}, Better: true},
		{Prompt: dataset.Prompt("Three?"), Replies: []string{"The better one is shorter.", "The worse one is longer, and so it wins as it is."}, Better: true},
	}, audit.ProbeOptions{Edits: must(probe.Named("padding", "off-topic"))})
	if f := named(t, fs, "length"); f.FlipN != 2 || f.FlipRate != 0.5 || f.N != 6 || f.WinRate != 1 {
		t.Errorf("%+v", f)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The result hangs on the seed, not on the order of the cases or of goroutines.
func TestTheSeedDecides(t *testing.T) {
	all := answers(40, 2)
	draw := func(cases []audit.Case, seed int64) []audit.Case {
		out, err := audit.Sample(func(yield func(audit.Case, error) bool) {
			for _, c := range cases {
				if !yield(c, nil) {
					return
				}
			}
		}, 12, seed)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	turned := slices.Clone(all)
	slices.Reverse(turned)
	turned = append(turned, all[:10]...) // twice is once
	a, b := draw(all, 5), draw(turned, 5)
	if len(a) != 12 || !reflect.DeepEqual(a, b) {
		t.Error("the sample hangs on the order of the cases")
	}
	if reflect.DeepEqual(a, draw(all, 6)) {
		t.Error("another seed gives the same sample")
	}
	x, y := lengthAudited(), auditOf(likes(length))
	if text(x.findings) != text(y.findings) {
		t.Error("the same seed gives other findings")
	}
	if text(x.causes) != text(y.causes) {
		t.Error("the same seed gives other causes")
	}
}

func text(v any) string {
	var b strings.Builder
	if err := dataset.NewEncoder(&b).Encode(v); err != nil {
		return err.Error()
	}
	return b.String()
}

// A score and the same score in other units are the same to an audit.
func TestUnitsDoNotMatter(t *testing.T) {
	cases := answers(6, 4)
	edits := must(probe.Named("padding", "markdown", "off-topic"))
	x, _ := findings(t, likes(length), cases, audit.ProbeOptions{Edits: edits})
	rapid.Check(t, func(rt *rapid.T) {
		// Powers of two lose no digit.
		by := math.Ldexp(1, rapid.IntRange(-8, 8).Draw(rt, "by"))
		y, _ := findings(t, likes(func(c dataset.Conversation, s string) float64 { return by * length(c, s) }), cases, audit.ProbeOptions{Edits: edits})
		if text(x) != text(y) {
			rt.Fatalf("%s\n%s", text(x), text(y))
		}
	})
}

func TestNothingToAudit(t *testing.T) {
	_, err := audit.NewReference(t.Context(), likes(func(dataset.Conversation, string) float64 { return 1 }), answers(5, 1))
	if err == nil {
		t.Error("a constant score was audited")
	}
	_, err = audit.NewReference(t.Context(), likes(func(dataset.Conversation, string) float64 { return math.NaN() }), answers(5, 1))
	if err == nil {
		t.Error("NaN was audited")
	}
}
