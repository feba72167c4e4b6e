package eval_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"cai/dataset"
	"cai/eval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// comparerFunc is a comparer made of a function.
type comparerFunc func(p *dataset.Pair) (eval.Comparison, error)

func (f comparerFunc) Compare(_ context.Context, p *dataset.Pair) (eval.Comparison, error) {
	return f(p)
}

func sequence(pairs []*dataset.Pair) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface{ Fatalf(string, ...any) }

func marshal(t fataler, s eval.Set) string {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatalf("the set is no JSON: %v", err)
	}
	return string(b)
}

func TestJSON(t *testing.T) {
	ln3 := math.Log(3)
	results := []eval.Result{
		{pair("q", "long reply", "short", 1), eval.Comparison{Margin: ln3}},
		{pair("q", "a b c d", "**a**", 0), eval.Comparison{Margin: ln3}},
		{pair("q", "a", "b", 0.5), eval.Comparison{Margin: ln3}},
		{pair("q", "a", "b", nan), eval.Comparison{Margin: ln3}},
	}
	got := marshal(t, eval.Evaluate("mine.jsonl", results, eval.Options{
		Subset: func(p *dataset.Pair) string {
			if strings.Contains(p.Second.Text, "**") {
				return "marked"
			}
			return ""
		},
	}))
	// Both pairs share a prompt, so no interval can be narrower than all. The
	// chosen replies are 5 longer and 2 shorter, their margins +ln 3 and −ln 3.
	// Both have confidence 3/4, and one of them is right.
	want := `{
  "name": "mine.jsonl",
  "n": 2,
  "prompts": 1,
  "ties": 0,
  "accuracy": 0.5,
  "ci": [
    0,
    1
  ],
  "baselines": {
    "longer": 0.5,
    "markdown": 0.75,
    "shorter": 0.5
  },
  "baselines_ci": {
    "longer": [
      0,
      1
    ],
    "markdown": [
      0,
      1
    ],
    "shorter": [
      0,
      1
    ]
  },
  "best_baseline": "markdown",
  "delta": -0.25,
  "delta_ci": [
    -1,
    1
  ],
  "log_loss": 0.836988,
  "log_loss_ci": [
    0,
    36.0437
  ],
  "brier": 0.3125,
  "brier_ci": [
    0,
    1
  ],
  "ece": 0.25,
  "length_spearman": 1,
  "subsets": {
    "marked": {
      "n": 1,
      "prompts": 1,
      "ties": 0,
      "accuracy": 0,
      "ci": [
        0,
        1
      ],
      "baselines": {
        "longer": 0,
        "markdown": 1,
        "shorter": 1
      },
      "baselines_ci": {
        "longer": [
          0,
          1
        ],
        "markdown": [
          0,
          1
        ],
        "shorter": [
          0,
          1
        ]
      },
      "best_baseline": "shorter",
      "delta": -1,
      "delta_ci": [
        -1,
        1
      ]
    }
  },
  "skipped": {
    "tied_label": 1,
    "unlabelled": 1
  }
}`
	got = regexp.MustCompile(`\d+\.\d+`).ReplaceAllStringFunc(got, func(s string) string {
		x, _ := strconv.ParseFloat(s, 64)
		return strconv.FormatFloat(x, 'g', 6, 64)
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// With nothing to compute from, JSON says null and not 0, and reads back.
func TestNoPairs(t *testing.T) {
	set := eval.Evaluate("empty", nil, eval.Options{})
	text := marshal(t, set)
	for _, key := range []string{"accuracy", "log_loss", "brier", "ece", "length_spearman", "delta", "longer"} {
		if !strings.Contains(text, fmt.Sprintf("%q: null", key)) {
			t.Errorf("no null %s in %s", key, text)
		}
	}
	if set.CI != unit || set.BestBaseline != "" {
		t.Errorf("ci %v, best baseline %q", set.CI, set.BestBaseline)
	}
	var back eval.Set
	if err := json.Unmarshal([]byte(text), &back); err != nil {
		t.Fatal(err)
	}
	if back.Accuracy.Defined() || !back.CI.Contains(0.3) || back.Accuracy.String() != "–" {
		t.Errorf("read back as %+v", back)
	}
}

// The margin decides; the scores, where there are any, are what length is
// correlated with.
func TestLengthSpearmanUsesScoresBeforeMargins(t *testing.T) {
	lengths := []int{1, 4, 9}
	scored, unscored := []eval.Result{}, []eval.Result{}
	for i, n := range lengths {
		p := pair(fmt.Sprint(i), strings.Repeat("é", n), "", 1)
		scored = append(scored, eval.Result{p, eval.Comparison{Margin: float64(n), First: float64(-n), Scored: true}})
		unscored = append(unscored, eval.Result{p, eval.Comparison{Margin: float64(n)}})
	}
	if got := eval.Evaluate("", scored, eval.Options{}).LengthSpearman; got != -1 {
		t.Errorf("scored: %v, want −1", got)
	}
	if got := eval.Evaluate("", unscored, eval.Options{}).LengthSpearman; got != 1 {
		t.Errorf("unscored: %v, want 1", got)
	}
}

// A calibrated model of soft labels has no calibration error, though it is
// never as sure as the majority side is right.
func TestSoftLabelsCanBeMet(t *testing.T) {
	var results []eval.Result
	for i := range 30 {
		p := 0.6 + float64(i)/100
		if i%2 == 0 {
			p = 1 - p
		}
		results = append(results, eval.Result{
			pair(fmt.Sprint(i), "a", "b", p),
			eval.Comparison{Margin: math.Log(p / (1 - p))},
		})
	}
	set := eval.Evaluate("", results, eval.Options{})
	if set.ECE > 1e-12 || set.Brier > 1e-12 || set.Accuracy != 1 {
		t.Errorf("ece %v, brier %v, accuracy %v", float64(set.ECE), float64(set.Brier), set.Accuracy)
	}
	// Picking the other side with 3/4 is right to 1/4, not never.
	wrong := []eval.Result{{pair("1", "a", "b", 0.75), eval.Comparison{Margin: -math.Log(3)}}}
	if set := eval.Evaluate("", wrong, eval.Options{}); !near(float64(set.ECE), 0.5) {
		t.Errorf("ece %v, want 0.5", float64(set.ECE))
	}
}

// A model that is "longer wins" and right where that is wrong in some pairs is
// better than it by just those, with certainty once there are enough.
func TestDeltaIsPaired(t *testing.T) {
	var results []eval.Result
	for i := range 200 {
		long, short := strings.Repeat("x", 20), "x"
		p := pair(fmt.Sprint(i), long, short, 1)
		c := eval.Comparison{Margin: 1}
		switch {
		case i%10 < 3: // longer is wrong, the model too
			p.P = 0
		case i%10 == 3: // only longer is wrong
			p.P, c.Margin = 0, -1
		}
		results = append(results, eval.Result{p, c})
	}
	set := eval.Evaluate("", results, eval.Options{})
	if set.BestBaseline != "longer" || !near(float64(set.Baselines["longer"]), 0.6) || !near(float64(set.Delta), 0.1) {
		t.Errorf("best baseline %q with %v, delta %v", set.BestBaseline, set.Baselines["longer"], set.Delta)
	}
	// Standard error √(0.1·0.9/200) = 0.021, where two independent accuracies
	// would give √(0.24/200 + 0.21/200) = 0.047.
	if w := set.DeltaCI[1] - set.DeltaCI[0]; w < 0.07 || w > 0.095 || set.DeltaCI[0] <= 0 {
		t.Errorf("delta_ci %v", set.DeltaCI)
	}
}

// Every baseline run as a comparer reaches the accuracy that is shown beside
// others, and claims no calibration.
func TestBaselinesGoThroughTheSameCode(t *testing.T) {
	pairs := []*dataset.Pair{
		pair("1", "a long plain reply", "# short", 1),
		pair("2", "- a\n- b", "some words in a row", 0),
		pair("3", "same", "size", 1),
		pair("4", "**x**", "yy", 1),
	}
	for _, name := range eval.Baselines() {
		c, err := eval.Baseline(name)
		if err != nil {
			t.Fatal(err)
		}
		set, err := eval.Run(context.Background(), name, sequence(pairs), c, eval.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if set.Accuracy != set.Baselines[name] || set.CI != set.BaselinesCI[name] {
			t.Errorf("%s: %v %v run, %v %v beside", name, set.Accuracy, set.CI, set.Baselines[name], set.BaselinesCI[name])
		}
		if set.LogLoss.Defined() || set.LogLossCI != nil || set.ECE.Defined() || set.Brier.Defined() {
			t.Errorf("%s has log loss %v, ece %v", name, set.LogLoss, set.ECE)
		}
		want := map[string]float64{"longer": 1, "shorter": -1}[name]
		if want != 0 && !near(float64(set.LengthSpearman), want) {
			t.Errorf("%s: length_spearman %v", name, set.LengthSpearman)
		}
	}
}

func TestSkippedPairsAreCountedByReason(t *testing.T) {
	asked := 0
	c := comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) {
		asked++
		switch p.First.Text {
		case "abstain":
			return eval.Comparison{}, fmt.Errorf("coverage 0.01: %w", eval.ErrAbstain)
		case "nan":
			return eval.Comparison{Margin: nan}, nil
		case "inf":
			return eval.Comparison{Margin: 1, First: inf, Second: inf, Scored: true}, nil
		}
		return eval.Comparison{Margin: 1}, nil
	})
	progress := []int{}
	set, err := eval.Run(context.Background(), "", sequence([]*dataset.Pair{
		pair("1", "fine", "x", 1), pair("2", "abstain", "x", 1), pair("3", "nan", "x", 1), pair("4", "inf", "x", 1),
		pair("5", "x", "y", nan), pair("6", "x", "y", 0.5), pair("7", "x", "y", 1.5),
	}), c, eval.Options{Progress: func(done int) { progress = append(progress, done) }})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		eval.SkipAbstained: 1, eval.SkipNaN: 2,
		eval.SkipUnlabelled: 1, eval.SkipTiedLabel: 1, eval.SkipBadLabel: 1,
	}
	if d := cmp.Diff(want, set.Skipped); d != "" || set.N != 1 {
		t.Errorf("n %d, skipped %s", set.N, d)
	}
	if asked != 4 {
		t.Errorf("asked about %d pairs: those without a chosen reply are not worth a call", asked)
	}
	if !slices.Equal(progress, []int{1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("progress %v", progress)
	}
}

func TestErrorsEndTheRunAndKeepItsFigures(t *testing.T) {
	broken := errors.New("broken")
	good, bad := pair("1", "a", "b", 1), pair("2", "bad", "b", 1)
	bad.Source = dataset.Source{File: "pairs.jsonl", Line: 7}
	c := comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) {
		if p == bad {
			return eval.Comparison{}, broken
		}
		return eval.Comparison{Margin: 1}, nil
	})
	for _, jobs := range []int{1, 4} {
		o := eval.Options{Jobs: jobs}
		set, err := eval.Run(context.Background(), "", sequence([]*dataset.Pair{good, bad}), c, o)
		if !errors.Is(err, broken) || err.Error() != "pairs.jsonl:7: compare: broken" {
			t.Errorf("%d jobs: comparer's error came as %v", jobs, err)
		}
		if set.N > 1 || jobs == 1 && set.N != 1 {
			t.Errorf("%d jobs: figures over %d pairs", jobs, set.N)
		}

		set, err = eval.Run(context.Background(), "", func(yield func(*dataset.Pair, error) bool) {
			if yield(good, nil) {
				if yield(nil, broken) {
					t.Error("read on after an error")
				}
			}
		}, c, o)
		if err != broken || set.N != 1 {
			t.Errorf("%d jobs: reader's error came as %v, n %d", jobs, err, set.N)
		}

		// A failing comparer ends an endless sequence, and is what is reported.
		_, err = eval.Run(context.Background(), "", func(yield func(*dataset.Pair, error) bool) {
			for yield(bad, nil) {
			}
		}, c, o)
		if !errors.Is(err, broken) {
			t.Errorf("%d jobs, many pairs: comparer's error came as %v", jobs, err)
		}

		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := eval.Run(ctx, "", sequence([]*dataset.Pair{good}), c, o); !errors.Is(err, context.Canceled) {
			t.Errorf("%d jobs: cancelled run gives %v", jobs, err)
		}
	}
}

// Jobs overlap, and that changes no figure.
func TestJobs(t *testing.T) {
	var pairs []*dataset.Pair
	for i := range 40 {
		pairs = append(pairs, pair(fmt.Sprint(i%7), strings.Repeat("x", i), "yyyyy", float64(i%3%2)))
	}
	var now, most atomic.Int32
	var once sync.Once
	overlap, wait := make(chan struct{}), false
	c := comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) {
		for n := now.Add(1); ; {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		if n := now.Load(); n > 1 {
			once.Do(func() { close(overlap) })
		}
		if wait {
			<-overlap // which never comes if jobs do not overlap
		}
		now.Add(-1)
		return eval.Comparison{Margin: float64(len(p.First.Text)%11) - 5}, nil
	})
	run := func(jobs int) string {
		most.Store(0)
		set, err := eval.Run(context.Background(), "x", sequence(pairs), c, eval.Options{Jobs: jobs})
		if err != nil {
			t.Fatal(err)
		}
		return marshal(t, set)
	}
	one := run(0)
	if most.Load() != 1 {
		t.Errorf("one job compares %d at a time", most.Load())
	}
	wait = true
	if d := cmp.Diff(one, run(8)); d != "" {
		t.Error(d)
	}
	if m := most.Load(); m < 2 || m > 8 {
		t.Errorf("eight jobs compare %d at a time", m)
	}
}
