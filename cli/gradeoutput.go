package cli

import (
	"math"

	"cai/dataset"
	"cai/eval"
	"cai/llm"
	"cai/rubric"
)

// writePairs makes pairs of replies to the same prompt.
func (j *gradeJob) writePairs(out *output) error {
	w, err := dataset.NewPreferenceWriter("trl", out)
	if err != nil {
		return err
	}
	groups := map[dataset.Hash][]scored{}
	var order []dataset.Hash
	for _, s := range j.scored {
		h := s.reply.Prompt.Hash()
		if groups[h] == nil {
			order = append(order, h)
		}
		groups[h] = append(groups[h], s)
	}
	n, ties := 0, 0
	for _, h := range order {
		group := groups[h]
		for k := range group {
			for i := range k {
				hi, lo := group[i], group[k]
				if hi.reply.Response.Text == lo.reply.Response.Text {
					continue
				}
				if lo.score.Value > hi.score.Value {
					hi, lo = lo, hi
				}
				d := hi.score.Value - lo.score.Value
				if d == 0 || d < j.c.Float64("min-margin") {
					ties++
					continue
				}
				pair := &dataset.Pair{Prompt: hi.reply.Prompt, First: hi.reply.Response, Second: lo.reply.Response}
				pair.P = rubric.PBetter(hi.score, lo.score)
				pref := &dataset.Preference{Pair: pair, P: pair.P, Margin: &d, ID: pair.Key().Hash.String()}
				for _, f := range []struct {
					key string
					x   float64
				}{{"score_chosen", hi.score.Value}, {"score_rejected", lo.score.Value}} {
					if err := pref.Extra.Set(f.key, f.x); err != nil {
						return err
					}
				}
				if err := w.Write(pref); err != nil {
					return err
				}
				n++
			}
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := out.commit(); err != nil {
		return err
	}
	j.app.note(j.c, "%d pairs of %d prompts, %d ties left out", n, len(order), ties)
	if n == 0 && ties == 0 {
		j.app.warn("no pair: no two replies are to the same prompt")
	}
	return nil
}

// gradeLine is what is printed about one reply.
type gradeLine struct {
	file     string
	line     int
	id       string
	how      string
	total    rubric.Score
	whole    bool // every question has an answer
	coverage float64
	model    string
	criteria []criterionJSON
}

type criterionJSON struct {
	ID           string        `json:"id"`
	Score        eval.Figure   `json:"score"`
	Distribution []float64     `json:"distribution"`
	Evidence     *string       `json:"evidence"`
	Coverage     eval.Figure   `json:"coverage"`
	Applies      eval.Figure   `json:"applies"` // null where that could not be told
	Weight       float64       `json:"weight"`
	Samples      []eval.Figure `json:"samples"` // the score of each sample; null where it does not count
	// Dropped tells that the model's quotation is not in the reply.
	Dropped bool   `json:"evidence_dropped,omitempty"`
	Failure string `json:"failure,omitempty"`
}

// line puts together what a reply got, and counts its evidence.
func (j *gradeJob) line(g *toGrade, res *rubric.Result) *gradeLine {
	l := &gradeLine{
		file: g.source.File, line: g.source.Line, id: g.id, how: j.c.String("aggregate"),
		total: res.Total(j.minCoverage), whole: true, coverage: math.NaN(), model: j.model.id.Model,
	}
	for i := range res.Items {
		it := &res.Items[i]
		cr := criterionJSON{
			ID: "overall", Weight: 1, Applies: eval.Figure(it.Applies), Samples: []eval.Figure{},
			Score: eval.Figure(math.NaN()), Coverage: eval.Figure(math.NaN()),
		}
		if it.Criterion != nil {
			cr.ID, cr.Weight = it.Criterion.ID, it.Criterion.Weight
		}
		p, coverage := it.Distribution(j.minCoverage)
		cr.Distribution = nonNil(p)
		for s := range it.Samples {
			score := math.NaN()
			if g := &it.Samples[s]; dataset.Counts(g.Coverage, j.minCoverage) {
				score = g.Score()
			}
			cr.Samples = append(cr.Samples, eval.Figure(score))
		}
		if len(it.Samples) > 0 {
			cr.Coverage = eval.Figure(coverage)
			if !(l.coverage <= coverage) {
				l.coverage = coverage
			}
			if e := it.Samples[0].Evidence; j.asked.Evidence && e.Asked && e.Quote != "" {
				j.quotes++
				if cr.Dropped = !e.Verified; cr.Dropped {
					j.dropped++
				} else {
					cr.Evidence = &e.Quote
				}
			}
		}
		switch {
		case it.Err != nil:
			cr.Failure = string(llm.KindOf(it.Err))
			l.whole = false
		case p != nil:
			cr.Score = eval.Figure(dataset.ExpectedLevel(p))
		}
		l.criteria = append(l.criteria, cr)
	}
	if !l.whole {
		l.total = rubric.Score{Value: math.NaN(), SD: math.NaN()}
	}
	l.whole = l.whole && !math.IsNaN(l.total.Value)
	return l
}

// object gives the line as JSON, with the columns of the record that are not
// used at its end.
func (l *gradeLine) object(extra dataset.Object) dataset.Object {
	var o dataset.Object
	set := func(key string, v any) {
		if err := o.Set(key, v); err != nil {
			panic(err) // texts and finite numbers
		}
	}
	set("file", l.file)
	set("line", l.line)
	set("id", l.id)
	set("score", eval.Figure(l.total.Value))
	set("sd", eval.Figure(l.total.SD))
	set("coverage", eval.Figure(l.coverage))
	set("vetoed", nonNil(l.total.Vetoed))
	set("aggregate", l.how)
	set("criteria", l.criteria)
	set("model", l.model)
	own := o
	for _, f := range extra {
		if own.Get(f.Key) == nil {
			o = append(o, f)
		}
	}
	return o
}
