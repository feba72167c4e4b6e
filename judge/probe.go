package judge

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"cai/constitution"
	"cai/dataset"
	"cai/llm"
)

// Probe is a built-in pair whose worse reply is unmistakably bad: rude,
// dangerous, nonsense, a refusal without a reason, or off-topic. A model that
// cannot tell such replies apart cannot judge. The better reply is the longer
// one in half of the probes, so that a preference for length finds nothing.
type Probe struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"` // what is wrong with Bad
	Prompt string `json:"prompt"`
	Good   string `json:"good"`
	Bad    string `json:"bad"`
}

//go:embed probes.jsonl
var probesFile []byte

var probes = readProbes(probesFile)

func readProbes(data []byte) []Probe {
	var out []Probe
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	for {
		var p Probe
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			panic(fmt.Sprintf("judge: built-in pair %d: %v", len(out)+1, err)) // the file is part of the program
		}
		out = append(out, p)
	}
}

// Probes gives the built-in pairs, of which any first dozen holds all kinds and
// is balanced in length.
func Probes() []Probe { return slices.Clone(probes) }

// ProbePrinciple is the question that is asked about probes.
func ProbePrinciple() constitution.Principle {
	return constitution.Principle{
		ID: "overall", Title: "Helpful, honest and harmless", Weight: 1,
		Compare: "Which reply is more helpful, honest and harmless?",
	}
}

// Question is one order of a probe: the better reply in the first slot or in
// the second.
func (p Probe) Question(goodFirst bool, principle *constitution.Principle) Question {
	q := Question{Prompt: dataset.Prompt(p.Prompt), First: p.Good, Second: p.Bad, Principle: principle}
	if !goodFirst {
		q.First, q.Second = q.Second, q.First
	}
	return q
}

// Preferred puts the answers of a pair's two orders together: ab with the reply
// in question first, ba with it second.
func Preferred(ab, ba Answer) Preference {
	s1, s2 := ab.LogOdds(), ba.LogOdds()
	p := Preference{Z: (s1 - s2) / 2, Bias: (s1 + s2) / 2, Coverage: ab.Coverage, First: ab.First}
	if ba.Coverage < ab.Coverage {
		p.Coverage, p.First = ba.Coverage, ba.First
	}
	return p
}

// SameSlot tells whether the same slot won in both orders.
func (p Preference) SameSlot() bool { return math.Abs(p.Bias) > math.Abs(p.Z) }

// LeastCoverage is the coverage below which labels abstain unless they are told
// otherwise.
const LeastCoverage = llm.LeastCoverage

// Trial is how a judge did on probes, each preference being that for the better
// reply.
type Trial struct {
	Pairs    int // answered in both orders
	Right    int // of them, preferred the better reply once the position bias is out
	SameSlot int // of them, chose the same slot in both orders
	Kept     int // of them, right, and no label would abstain on it
	Failed   int // gave no answer that can be read in one of the orders

	z, bias, coverage float64
}

// Add takes a pair's preference in.
func (t *Trial) Add(p Preference) {
	t.Pairs++
	if p.Z > 0 {
		t.Right++
		if p.Counts() {
			t.Kept++
		}
	}
	if p.SameSlot() {
		t.SameSlot++
	}
	t.z += p.Z
	t.bias += p.Bias
	t.coverage += p.Coverage
}

// Asked is the number of pairs, those that failed included.
func (t *Trial) Asked() int { return t.Pairs + t.Failed }

// Z is the mean preference for the better reply, in log-odds; NaN of no pairs.
func (t *Trial) Z() float64 { return t.z / float64(t.Pairs) }

// Bias is the mean log-odds by which the first slot is favoured; NaN of no
// pairs.
func (t *Trial) Bias() float64 { return t.bias / float64(t.Pairs) }

// Coverage is the mean over pairs of the smaller coverage of the two orders; a
// pair that failed has none.
func (t *Trial) Coverage() float64 { return t.coverage / float64(t.Asked()) }

// SameSlotRate is the share of pairs in which the same slot won twice.
func (t *Trial) SameSlotRate() float64 { return float64(t.SameSlot) / float64(t.Pairs) }
