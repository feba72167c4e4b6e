package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"cai/dataset"
	"cai/debate"
	"cai/eval"
	"cai/label"
	"cai/store"
)

// transcriptJSON is a line of --transcripts.
type transcriptJSON struct {
	Pair      dataset.Hash         `json:"pair"`
	Principle string               `json:"principle"`
	Order     dataset.Order        `json:"order"`
	Sample    int                  `json:"sample"`
	Protocol  string               `json:"protocol"`
	Turns     []debate.Turn        `json:"turns"`
	PFirst    float64              `json:"p_first"` // that the reply of A is the better one
	Coverage  float64              `json:"coverage"`
	Prompt    dataset.Conversation `json:"prompt"`
	First     string               `json:"first"`  // the reply in slot A
	Second    string               `json:"second"` // the reply in slot B
}

// show prints and exports the debates that were asked for: all that the judge
// has held on the files, those of earlier runs too.
func (d *debateRun) show() (err error) {
	a, c := d.app, d.c
	file := c.String("transcripts")
	if !c.Bool("print") && file == "" {
		return nil
	}
	var out io.Writer = a.Out
	if file != "" && file != "-" {
		f, err := dataset.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	enc := dataset.NewEncoder(out)
	ids := map[dataset.Hash]string{}
	for i := range d.principles {
		ids[d.principles[i].Hash()] = d.principles[i].ID
	}
	for j, err := range d.debated(context.WithoutCancel(c.Context)) {
		if err != nil {
			return err
		}
		for i := range j.Judgments {
			g := &j.Judgments[i]
			if g.Doubt != "" {
				continue
			}
			t, err := debate.ParseTranscript(g.Rationale)
			if err != nil {
				return fmt.Errorf("pair %s: %w", g.Pair, err)
			}
			line := transcriptJSON{
				Pair: g.Pair, Principle: ids[g.Principle], Order: g.Order, Sample: g.Sample,
				Protocol: t.Protocol, Turns: t.Turns, PFirst: eval.Sigmoid(g.LogOdds()), Coverage: g.Coverage,
				Prompt: j.Prompt, First: j.A.Text, Second: j.B.Text,
			}
			if g.Order == dataset.OrderBA {
				line.First, line.Second = line.Second, line.First
			}
			if file != "" {
				if err := enc.Encode(line); err != nil {
					return err
				}
			}
			if c.Bool("print") {
				printDebate(a.Out, t, &line)
			}
		}
	}
	if f, ok := out.(*dataset.File); ok {
		return f.Commit()
	}
	return nil
}

// debateWidth is where lines of a printed debate are broken, in characters.
const debateWidth = 88

func printDebate(w io.Writer, t *debate.Transcript, l *transcriptJSON) {
	fmt.Fprintf(w, "%s  %s, %s, order %s", shortID(l.Pair), l.Principle, l.Protocol, l.Order)
	if l.Sample > 0 {
		fmt.Fprintf(w, ", sample %d", l.Sample)
	}
	fmt.Fprintf(w, "\n  prompt   %s\n  reply A  %s\n  reply B  %s\n", clip(lastTurn(l.Prompt)), clip(l.First), clip(l.Second))
	for _, turn := range t.Turns {
		fmt.Fprintf(w, "\n  %s, round %d\n%s", t.Speaker(turn), turn.Round, wrapped(printable(turn.Text), "    ", debateWidth))
	}
	best, p := "A", l.PFirst
	if p < 0.5 {
		best, p = "B", 1-p
	}
	fmt.Fprintf(w, "\n  judge: reply %s (P %.2f, coverage %.2f)\n\n", best, p, l.Coverage)
}

// wrapped breaks a text between words into lines of at most width characters,
// each behind a margin.
func wrapped(text, margin string, width int) string {
	var b strings.Builder
	n := 0
	for _, word := range strings.Fields(text) {
		size := len([]rune(word))
		switch {
		case n == 0:
			b.WriteString(margin)
		case n+1+size > width-len(margin):
			b.WriteString("\n" + margin)
			n = 0
		default:
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += size
	}
	return b.String() + "\n"
}

func (s *debatesJSON) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d rounds: %d debates", s.Protocol, s.Rounds, s.Debates)
	if s.SecondsPerPair != nil {
		fmt.Fprintf(w, ", %.1f s a pair", *s.SecondsPerPair)
	}
	if s.QuotesVerified != nil {
		fmt.Fprintf(w, "; %d quotations, %.0f %% verified", s.Quotes, 100**s.QuotesVerified)
	}
	fmt.Fprintln(w)
	for _, r := range s.Tournament {
		fmt.Fprintf(w, "\n%s\n", clip(lastTurn(r.Prompt)))
		for _, e := range r.Ranking {
			fmt.Fprintf(w, "  %2d. %+6.2f  wins %.1f of %d", e.Rank, e.Strength, e.Wins, e.Games)
			if e.AboveNext != nil {
				fmt.Fprintf(w, "  above the next: P %.2f", *e.AboveNext)
			}
			fmt.Fprintf(w, "\n      %s\n", clip(e.Reply))
		}
	}
	if len(s.Tournament) > 0 {
		fmt.Fprintln(w)
	}
}

// rankingJSON is the replies of a prompt, the best first.
type rankingJSON struct {
	Prompt  dataset.Conversation `json:"prompt"`
	Ranking []rankedJSON         `json:"ranking"`
}

// rankedJSON is a reply in a tournament. Strength is its score in a model of
// Bradley and Terry, in log-odds, around a mean of 0 ([label.Rank]).
type rankedJSON struct {
	Rank     int     `json:"rank"`
	Strength float64 `json:"strength"`
	// AboveNext is the probability that it is stronger than the next one; null for
	// the last.
	AboveNext *float64 `json:"above_next"`
	Wins      float64  `json:"wins"` // the sum of P(better) over its pairs
	Games     int      `json:"games"`
	Reply     string   `json:"reply"`
}

// tournament gathers the labels of pairs by prompt.
type tournament struct {
	prompts []*bracket // in the order in which they came
	of      map[dataset.Hash]*bracket
}

type bracket struct {
	prompt  dataset.Conversation
	replies []string
	place   map[dataset.Hash]int
	games   []label.Comparison
}

func (t *tournament) add(j *store.Judged, set label.Settings) {
	l, ok := label.Aggregate(j.Judgments, set)
	if !ok {
		return
	}
	if t.of == nil {
		t.of = map[dataset.Hash]*bracket{}
	}
	b := t.of[j.Key.Prompt]
	if b == nil {
		b = &bracket{prompt: j.Prompt, place: map[dataset.Hash]int{}}
		t.of[j.Key.Prompt] = b
		t.prompts = append(t.prompts, b)
	}
	b.games = append(b.games, label.Comparison{I: b.at(j.Key.A, j.A.Text), J: b.at(j.Key.B, j.B.Text), P: l.P})
}

// at gives a reply's place.
func (b *bracket) at(h dataset.Hash, text string) int {
	i, ok := b.place[h]
	if !ok {
		i = len(b.replies)
		b.place[h] = i
		b.replies = append(b.replies, text)
	}
	return i
}

// rankings fits the strengths of the replies of each prompt that has more than
// two.
func (t *tournament) rankings() []rankingJSON {
	var out []rankingJSON
	for _, b := range t.prompts {
		k := len(b.replies)
		if k < 3 {
			continue
		}
		fit := label.Rank(k, b.games)
		mean := 0.0
		order := make([]int, k)
		for i, s := range fit.Scores {
			mean += s / float64(k)
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(fit.Scores[j], fit.Scores[i]) })
		r := rankingJSON{Prompt: b.prompt}
		for n, i := range order {
			e := rankedJSON{Rank: n + 1, Strength: fit.Scores[i] - mean, Reply: b.replies[i]}
			if n+1 < k {
				m, v := fit.Difference(i, order[n+1])
				e.AboveNext = new(math.Erfc(-m/math.Sqrt(2*v)) / 2)
			}
			for _, g := range b.games {
				switch i {
				case g.I:
					e.Wins += g.P
					e.Games++
				case g.J:
					e.Wins += 1 - g.P
					e.Games++
				}
			}
			r.Ranking = append(r.Ranking, e)
		}
		out = append(out, r)
	}
	return out
}
