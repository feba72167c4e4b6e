package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/rm"
)

// wordJSON and sentenceJSON say which reply of a pair they are of.
type wordJSON struct {
	Reply string `json:"reply,omitempty"`
	rm.Word
}

type sentenceJSON struct {
	Reply string `json:"reply,omitempty"`
	rm.Sentence
}

type editJSON struct {
	Reply string `json:"reply"`
	*rm.Edit
}

// neighbourJSON is a training pair, its better reply first.
type neighbourJSON struct {
	Source   string               `json:"source"`
	Prompt   dataset.Conversation `json:"prompt"`
	Chosen   string               `json:"chosen"`
	Rejected string               `json:"rejected"`
	P        float64              `json:"p"` // that chosen is better
	Cosine   float64              `json:"cosine"`
	Removal  *float64             `json:"change_if_removed,omitempty"`
}

// side names reply i.
func (e *explained) side(i int) string {
	if e.sides == nil {
		return ""
	}
	return e.sides[i]
}

// sourceName names a place in a file.
func sourceName(s dataset.Source) string {
	if s.Line > 0 {
		return fmt.Sprintf("%s:%d", s.File, s.Line)
	}
	return s.File
}

// better gives a pair's replies, the better one first, and the probability that
// it is.
func better(p *dataset.Pair) (chosen, rejected string, prob float64) {
	if p.P < 0.5 {
		return p.Second.Text, p.First.Text, 1 - p.P
	}
	return p.First.Text, p.Second.Text, p.P
}

// neighbours gives them with the influence, if it is known.
func neighbours(ns []rm.Neighbour, influence bool) []neighbourJSON {
	var out []neighbourJSON
	for _, n := range ns {
		j := neighbourJSON{Source: sourceName(n.Pair.Source), Prompt: n.Pair.Prompt, Cosine: n.Cosine}
		j.Chosen, j.Rejected, j.P = better(n.Pair)
		if influence {
			j.Removal = &n.Removal
		}
		out = append(out, j)
	}
	return out
}

// json gives the record that is printed.
func (e *explained) json(c *urfave.Context) any {
	var o dataset.Object
	set := func(key string, v any) {
		if err := o.Set(key, v); err != nil {
			panic(err) // a number that is not finite: no model gives one
		}
	}
	set("id", e.id)
	set("source", sourceName(e.source))
	if e.sides == nil {
		set("score", e.Scores[0].Mean)
		set("std", e.Scores[0].Std)
	} else {
		for i, s := range e.Scores {
			set("score_"+e.sides[i], s.Mean)
			set("std_"+e.sides[i], s.Std)
		}
		set("margin", e.Total)
	}
	set("groups", e.Groups)
	set("members", e.Members)
	fs := e.Features
	if c.IsSet("top") {
		fs = fs[:min(len(fs), c.Int("top"))]
	}
	set("features", nonNil(fs))
	words, sentences := []wordJSON{}, []sentenceJSON{}
	for _, w := range e.Words {
		words = append(words, wordJSON{e.side(w.Reply), w})
	}
	for _, s := range e.Sentences {
		sentences = append(sentences, sentenceJSON{e.side(s.Reply), s})
	}
	set("words", words)
	set("sentences", sentences)
	set("rest", e.Rest)
	if len(e.Kinds) > 0 {
		set("kinds", e.Kinds)
	}
	if e.background {
		set("nearest", nonNil(neighbours(e.nearest, len(e.influential) > 0)))
		set("influential", nonNil(neighbours(e.influential, true)))
	}
	if e.edit != nil {
		set("edit", editJSON{e.side(e.edit.Reply), e.edit})
	}
	return o
}

type featureViewJSON struct {
	rm.FeatureView
	Source string `json:"source,omitempty"`
}

// globalOf gives the record of a head.
func globalOf(v rm.HeadView) any {
	list := func(fs []rm.FeatureView) []featureViewJSON {
		out := []featureViewJSON{}
		for _, f := range fs {
			j := featureViewJSON{FeatureView: f}
			if f.Source != nil {
				j.Source = sourceName(*f.Source)
			}
			out = append(out, j)
		}
		return out
	}
	return struct {
		Name     string            `json:"head"`
		Share    float64           `json:"share"`
		Positive []featureViewJSON `json:"positive"`
		Negative []featureViewJSON `json:"negative"`
		Note     string            `json:"note,omitempty"`
	}{v.Name, v.Share, list(v.Positive), list(v.Negative), v.Note}
}
