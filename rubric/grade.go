package rubric

import (
	"context"
	"maps"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cai/dataset"
	"cai/llm"
)

// Mode is the mode of a [Grader]'s judge.
const Mode = "grade"

// quoteTokens bounds a quotation.
const quoteTokens = 80

// Store is where a grader finds what is answered and leaves what it learns.
type Store interface {
	// Grades gives what a judge made of a reply, by its content hash.
	Grades(ctx context.Context, judge, response dataset.Hash) ([]dataset.Grade, error)
	// AddGrade returns when the grade would survive a power cut.
	AddGrade(context.Context, *dataset.Grade) error
}

// Grader grades replies with one model.
type Grader struct {
	Model llm.Chatter
	ID    dataset.Judge // who grades, as the store knows it
	Store Store

	rubric   *Rubric
	hash     dataset.Hash
	votes    int
	seed     int
	answered bool // log-probabilities have come
	// Calls counts calls to the model, Reused the answers that the store had.
	Calls, Reused int
}

// New makes a grader. votes is how many answers are sampled for a read-out where
// the server gives no log-probabilities (0 reads those), with seeds from seed
// on; options are those that change answers.
func New(m llm.Chatter, id llm.Identity, st Store, r *Rubric, votes, seed int, options map[string]string) *Grader {
	opts := maps.Clone(options)
	if opts == nil {
		opts = map[string]string{}
	}
	if votes > 0 {
		opts["votes"] = strconv.Itoa(votes)
		opts["seed"] = strconv.Itoa(seed)
	}
	return &Grader{
		Model: m, Store: st, rubric: r, hash: r.Hash(), votes: votes, seed: seed,
		ID: dataset.Judge{
			Backend: id.Backend, Model: id.Model, Digest: id.Digest,
			Template: TemplateHash().String(), Mode: Mode, Options: opts,
		},
	}
}

// Asked is what a grader makes of replies.
type Asked struct {
	Samples  int  // of each question; at least 1
	Holistic bool // the reply as a whole, not criterion by criterion
	Evidence bool // a quotation for each criterion
	// Again asks again what an older version stored and cannot be used.
	Again bool
	// MinCoverage is the coverage under which an answer whether a criterion applies
	// does not count.
	MinCoverage float64
	// OnAnswer, if set, is told of each answer of the model's.
	OnAnswer func(llm.Choice)
	// OnGrade, if set, is called with the number of samples of criteria that are
	// settled: answered, failed, or not to be asked.
	OnGrade func(n int)
}

// Result is a reply with all that was asked about it.
type Result struct {
	Reply *Reply
	// Items are the criteria in the rubric's order, or the reply as a whole.
	Items []Item
}

// Item is one criterion of one reply.
type Item struct {
	Criterion *Criterion // nil for the reply as a whole
	Question  Question
	// Applies is the probability that the criterion applies, 1 where it always
	// does, NaN where the answers had too little coverage to tell. Unless it is ½ at
	// least nothing further was asked.
	Applies float64
	Samples []dataset.Grade // in the order of samples; those that failed are left out
	// Err is why a question about it has no answer, QuoteErr why there is no
	// evidence: an [llm.Error].
	Err, QuoteErr error
}

// Grade asks what is still open about a reply. A question that fails in a way
// that others may not leaves its mark in the item's Err and the rest is asked;
// any other error ends it.
//
// First come the questions whether a criterion applies, then criteria without a
// reference answer, then those with one, so that all of them share as much of
// their beginning as they can.
func (g *Grader) Grade(ctx context.Context, r *Reply, a Asked) (*Result, error) {
	response := dataset.ResponseHash(r.Prompt.Hash(), r.Response.Text)
	had, err := g.Store.Grades(ctx, g.ID.Hash(), response)
	if err != nil {
		return nil, err
	}
	t := &turn{Grader: g, reply: r, asked: a, known: map[slot]dataset.Grade{}}
	for _, x := range had {
		if x.Doubt != "" && a.Again {
			continue
		}
		t.known[slot{x.Question, x.Sample}] = x
	}
	out := &Result{Reply: r}
	if a.Holistic {
		out.Items = []Item{{Question: g.rubric.Holistic(r.Reference), Applies: 1}}
		return out, t.item(ctx, &out.Items[0])
	}
	for i := range g.rubric.Criteria {
		c := &g.rubric.Criteria[i]
		out.Items = append(out.Items, Item{Criterion: c, Question: c.question(r.Reference), Applies: 1})
	}
	for i := range out.Items {
		if err := t.applies(ctx, &out.Items[i]); err != nil {
			return nil, err
		}
	}
	for _, withReference := range []bool{false, true} {
		for i := range out.Items {
			it := &out.Items[i]
			if (it.Question.Reference != "") != withReference {
				continue
			}
			if !(it.Applies >= 0.5) || it.Err != nil {
				t.settled(a.Samples)
				continue
			}
			if err := t.item(ctx, it); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

type slot struct {
	question dataset.Hash
	sample   int
}

// turn is the grading of one reply.
type turn struct {
	*Grader
	reply *Reply
	asked Asked
	known map[slot]dataset.Grade
}

// applies asks whether a criterion applies, with yes first and, where there is
// more than one sample, with no first: the mean log-odds decide.
func (t *turn) applies(ctx context.Context, it *Item) error {
	if it.Criterion.AppliesWhen == "" {
		return nil
	}
	q := it.Criterion.gate()
	z, n := 0.0, 0.0
	for s := range min(t.asked.Samples, 2) {
		g, err := t.ask(ctx, &q, s)
		if err != nil {
			it.Err = err
			return t.fatal(err)
		}
		if dataset.Counts(g.Coverage, t.asked.MinCoverage) {
			z += math.Log(g.Distribution[1]) - math.Log(g.Distribution[0])
			n++
		}
	}
	it.Applies = 1 / (1 + math.Exp(-z/n))
	return nil
}

func (t *turn) settled(n int) {
	if t.asked.OnGrade != nil {
		t.asked.OnGrade(n)
	}
}

// item asks all samples of one criterion, and for its evidence.
func (t *turn) item(ctx context.Context, it *Item) error {
	for s := range t.asked.Samples {
		g, err := t.ask(ctx, &it.Question, s)
		t.settled(1)
		if err != nil {
			it.Err = err
			if err := t.fatal(err); err != nil {
				return err
			}
			continue
		}
		it.Samples = append(it.Samples, g)
	}
	if !t.asked.Evidence || len(it.Samples) == 0 || it.Samples[0].Sample != 0 || it.Samples[0].Evidence.Asked {
		return nil
	}
	e, err := t.quote(ctx, &it.Question)
	if err != nil {
		it.QuoteErr = err
		return t.fatal(err)
	}
	it.Samples[0].Evidence = e
	return t.keep(ctx, &it.Samples[0])
}

// fatal gives an error that ends the grading, nil for one of this question
// alone. A server that gives no log-probabilities from the first answer on gives
// none at all.
func (g *Grader) fatal(err error) error {
	kind := llm.KindOf(err)
	if kind == "" || llm.Fatal(err) || kind == llm.KindNoLogprobs && !g.answered {
		return err
	}
	return nil
}

// ask puts one question, unless it was answered before, and keeps its answer.
func (t *turn) ask(ctx context.Context, q *Question, sample int) (dataset.Grade, error) {
	hash := q.Hash()
	if g, ok := t.known[slot{hash, sample}]; ok {
		t.Reused++
		return g, nil
	}
	c, err := llm.Choose(ctx, t.Model, llm.Request{
		Messages: []llm.Message{{Role: "user", Content: Render(t.reply, q, sample)}},
		Seed:     t.seed + sample*max(1, t.votes),
	}, t.votes, q.Options()...)
	t.Calls += max(1, c.Calls)
	if err != nil {
		return dataset.Grade{}, err
	}
	t.answered = true
	if t.asked.OnAnswer != nil {
		t.asked.OnAnswer(c)
	}
	g := dataset.Grade{
		Judge: t.ID.Hash(), Rubric: t.hash, Question: hash, Name: q.Name, Sample: sample,
		Distribution: normalise(c.LogProb), Coverage: c.Coverage,
		PromptTokens: c.PromptTokens, Duration: c.Duration, Created: time.Now(),
	}
	if err := t.keep(ctx, &g); err != nil {
		return g, err
	}
	t.known[slot{hash, sample}] = g
	return g, nil
}

func (t *turn) keep(ctx context.Context, g *dataset.Grade) error {
	whole := *g
	whole.Prompt, whole.Response, whole.Rubric = t.reply.Prompt, t.reply.Response, t.hash
	return t.Store.AddGrade(context.WithoutCancel(ctx), &whole)
}

// normalise gives the probabilities of log-probabilities that lack a part.
func normalise(lp []float64) []float64 {
	most := math.Inf(-1)
	for _, l := range lp {
		most = max(most, l)
	}
	out := make([]float64, len(lp))
	sum := 0.0
	for i, l := range lp {
		out[i] = math.Exp(l - most)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// quote asks for the passage that a grade rests on.
func (t *turn) quote(ctx context.Context, q *Question) (dataset.Evidence, error) {
	e := dataset.Evidence{Asked: true}
	t.Calls++
	r, err := t.Model.Chat(ctx, llm.Request{
		Messages:  []llm.Message{{Role: "user", Content: renderQuote(t.reply, q)}},
		MaxTokens: quoteTokens, Seed: t.seed,
	})
	if err != nil {
		return e, err
	}
	e.Quote = trimQuote(r.Text)
	if r.Truncated {
		e.Quote = trimQuote(beforeLastWord(e.Quote))
	}
	if e.Verified = Verify(e.Quote, t.reply.Response.Text); !e.Verified {
		// `The reply says "…".` holds a quotation, if not it alone.
		for _, m := range inQuotes.FindAllString(r.Text, -1) {
			if q := trimQuote(m); Verify(q, t.reply.Response.Text) && (!e.Verified || len(q) > len(e.Quote)) {
				e.Quote, e.Verified = q, true
			}
		}
	}
	return e, nil
}

var inQuotes = regexp.MustCompile(`"[^"\n]+"|“[^”\n]+”|«[^»\n]+»`)

// trimQuote takes away what stands around a quotation: blanks and quotes, as
// often as they are nested. A model that names none says so in one word.
func trimQuote(s string) string {
	for {
		t := strings.TrimSpace(s)
		for _, q := range [][2]string{{`"`, `"`}, {"“", "”"}, {"'", "'"}, {"‘", "’"}, {"«", "»"}, {"`", "`"}} {
			if in, ok := strings.CutPrefix(t, q[0]); ok {
				if in, ok := strings.CutSuffix(in, q[1]); ok {
					t = in
				}
			}
		}
		if t == s {
			break
		}
		s = t
	}
	if strings.EqualFold(strings.Trim(s, ".!"), "none") {
		return ""
	}
	return s
}

// beforeLastWord takes away a word that may be cut off.
func beforeLastWord(s string) string {
	if i := strings.LastIndexAny(s, " \t\n"); i > 0 {
		return s[:i]
	}
	return s
}

// Verify tells whether a quotation is in a text, word for word. Only blanks may
// differ: any run of them is as good as any other.
func Verify(quotation, text string) bool {
	q := oneLine(quotation)
	return q != "" && strings.Contains(oneLine(text), q)
}
