package rubric

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cai/constitution"
	"cai/dataset"
	"cai/llm"
	"cai/prompt"
)

const (
	draftTokens = 64
	draftTries  = 3
	// The fake Ollama of the tests knows this.
	askCriterion = `Write one yes-or-no question about a single reply, of at most 14 words, that begins with "Is the reply" or "Does the reply" and to which yes is good. Name one quality that can be checked. Write only the question.`
)

var (
	// A question begins a line or a sentence.
	questionLine = regexp.MustCompile(`(?im)(?:^|[.!?:"“(])[\s"“*-]*((?:is|are|does|do|did|has|have|can|could|will|would|should|was|were)\b[^?\n]*\?)`)
	aboutReply   = regexp.MustCompile(`(?i)^\w+ (?:the|this) (?:assistant'?s? )?(?:reply|response|answer)\b`)
	comparing    = regexp.MustCompile(`(?i)\b(better|worse|first|second|other|former|latter|both|more|less|than) (reply|replies|response|answer|one)?\b`)
)

// Draft proposes criteria with a model.
type Draft struct {
	Model llm.Chatter
	Seed  int
	// Calls counts calls to the model.
	Calls int
	// Left says what was proposed and left out, and why.
	Left []string
}

// FromPrinciples proposes a criterion for each principle: the model words a
// question; where none of its proposals is of use, the principle's own check is
// taken, if that is.
func (d *Draft) FromPrinciples(ctx context.Context, ps []constitution.Principle) ([]Criterion, error) {
	var out []Criterion
	for i := range ps {
		p := &ps[i]
		end := "A principle for good replies is called: " + oneLine(p.Title) + "\nIt is checked in this way: " + oneLine(p.Critique) + "\n\n" + askCriterion
		c, err := d.propose(ctx, end, out)
		if err != nil {
			return nil, err
		}
		if c == nil && p.Check != "" {
			own := Criterion{Text: oneLine(p.Check), Weight: 1, Threshold: 0.5}
			if bad := d.flaw(&own, out); bad == "" {
				c = &own
				d.Left = append(d.Left, fmt.Sprintf("principle %s: no proposal is of use; its own check is taken", p.ID))
			} else {
				d.Left = append(d.Left, fmt.Sprintf("principle %s: no proposal is of use, and its own check neither (%s)", p.ID, bad))
			}
		}
		if c == nil {
			continue
		}
		c.ID, c.Title, c.Weight = p.ID, p.Title, p.Weight
		out = append(out, *c)
	}
	return out, nil
}

// FromPairs proposes up to n criteria, each from what sets a chosen reply apart
// from a rejected one.
func (d *Draft) FromPairs(ctx context.Context, pairs []*dataset.Pair, n int) ([]Criterion, error) {
	var out []Criterion
	used := map[string]bool{}
	for _, p := range pairs {
		if len(out) == n {
			break
		}
		better, worse := p.First.Text, p.Second.Text
		if p.P < 0.5 {
			better, worse = worse, better
		}
		end := prompt.Transcript(p.Prompt) + "\n\nA good reply:\n" + quote(better) + "\n\nA bad reply:\n" + quote(worse) +
			"\n\nWhat does the good reply have that the bad one lacks? " + askCriterion
		c, err := d.propose(ctx, end, out)
		if err != nil {
			return nil, err
		}
		if c == nil {
			continue
		}
		c.ID = slug(c.Text, used)
		out = append(out, *c)
	}
	return out, nil
}

// propose asks for one criterion until a proposal is of use; nil if none is.
func (d *Draft) propose(ctx context.Context, ask string, have []Criterion) (*Criterion, error) {
	var bad string
	for try := range draftTries {
		req := llm.Request{
			Messages:  []llm.Message{{Role: "user", Content: ask}},
			MaxTokens: draftTokens, Seed: d.Seed + try,
		}
		if try > 0 {
			req.Temperature = 0.8
		}
		d.Calls++
		r, err := d.Model.Chat(ctx, req)
		if err != nil {
			if k := llm.KindOf(err); k == llm.KindEmpty || k == llm.KindTruncated || k == llm.KindContext {
				bad = err.Error()
				continue
			}
			return nil, err
		}
		c := Criterion{Text: questionIn(r.Text), Weight: 1, Threshold: 0.5}
		if bad = d.flaw(&c, have); bad == "" {
			return &c, nil
		}
		bad = fmt.Sprintf("%q: %s", clip(r.Text), bad)
	}
	d.Left = append(d.Left, bad)
	return nil, nil
}

// questionIn finds the question in an answer, which may have other words before
// or after it.
func questionIn(text string) string {
	q := ""
	if m := questionLine.FindStringSubmatch(text); m != nil {
		q = oneLine(m[1])
		q = strings.ToUpper(q[:1]) + q[1:]
	}
	return q
}

// flaw says why a proposal is of no use: it holds no question, or lint finds
// something wrong with it alone or beside the others.
func (d *Draft) flaw(c *Criterion, have []Criterion) string {
	switch {
	case c.Text == "":
		return "no yes-or-no question"
	case !aboutReply.MatchString(c.Text):
		return "it is not about the reply"
	case comparing.MatchString(c.Text):
		return "it compares replies"
	}
	trial := *c
	trial.ID = "proposal"
	r := &Rubric{Criteria: append(slices.Clone(have), trial)}
	for _, f := range r.Lint() {
		if f.Criterion == trial.ID && f.Severity != constitution.SeverityInfo {
			return f.Rule
		}
	}
	return ""
}
