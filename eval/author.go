package eval

import (
	"context"
	"encoding/binary"
	"iter"
	"math"

	"cai/dataset"
)

// AuthorBaseline names the null baseline that knows who wrote each reply and
// nothing of what it says.
const AuthorBaseline = "author"

// numFolds is the number of parts of a cross-fitting by prompt.
const numFolds = 5

// gameOne is the probability 1 in fixed point: labels are added up as integers,
// so that no sum hangs on the order of the pairs.
const gameOne = 1 << 30

// meeting is two authors whose replies were compared, first by name, and the
// subset where they were.
type meeting struct{ a, b, subset string }

// tally is how often, and in how many of them a's reply was the better one.
type tally struct{ n, won int64 }

// Games counts whose replies were preferred to whose. The zero value is ready
// for use.
type Games struct{ met map[meeting]tally }

// Add counts a pair of the given subset, "" for none, whose label is p, the
// probability that the first reply is better. A pair that has an unnamed author
// says nothing of authors and is not counted, nor is one of a single author.
func (g *Games) Add(first, second, subset string, p float64) {
	if first == "" || second == "" || first == second || math.IsNaN(p) {
		return
	}
	won := int64(math.Round(p * gameOne))
	if second < first {
		first, second, won = second, first, gameOne-won
	}
	if g.met == nil {
		g.met = map[meeting]tally{}
	}
	key := meeting{first, second, subset}
	t := g.met[key]
	g.met[key] = tally{t.n + 1, t.won + won}
}

func (g *Games) merge(other *Games) {
	if g.met == nil {
		g.met = map[meeting]tally{}
	}
	for key, t := range other.met {
		sum := g.met[key]
		g.met[key] = tally{sum.n + t.n, sum.won + t.won}
	}
}

// Strengths are fitted authors: see [Games.Fit]. A nil Strengths knows none.
type Strengths struct {
	all map[string]float64
	in  map[[2]string]float64 // of an author in a subset, beside its strength in all
}

// Len is the number of authors.
func (s *Strengths) Len() int {
	if s == nil {
		return 0
	}
	return len(s.all)
}

// Of gives an author's strength, in log-odds, and whether the author is known.
func (s *Strengths) Of(author, subset string) (float64, bool) {
	if s == nil {
		return 0, false
	}
	x, ok := s.all[author]
	return x + s.in[[2]string{author, subset}], ok
}

// Margin gives the log-odds that a reply of the first author is better than one
// of the second, and whether both are known.
func (s *Strengths) Margin(first, second, subset string) (float64, bool) {
	x, okX := s.Of(first, subset)
	y, okY := s.Of(second, subset)
	return x - y, okX && okY
}

// foldOf is the part that a prompt falls into. The first bytes of the hash
// draw the prompts of [Options].Sample.
func foldOf(prompt dataset.Hash) int {
	return int(binary.BigEndian.Uint32(prompt[8:12]) % numFolds)
}

// crossFit fits, for each part, strengths to the games of all other parts.
func crossFit(parts *[numFolds]Games) (fits [numFolds]*Strengths) {
	for k := range parts {
		var rest Games
		for j := range parts {
			if j != k {
				rest.merge(&parts[j])
			}
		}
		fits[k] = rest.Fit()
	}
	return fits
}

// Authors is the author baseline as a comparer, cross-fitted by prompt: it reads
// the pairs once and fits five times, so that a pair is compared by strengths
// that come from other prompts' pairs. subset names the subset of a pair and may
// be nil. It abstains where an author is not named, or in none of the pairs that
// were fitted.
//
// Named tells how many pairs have both authors named.
func Authors(pairs iter.Seq2[*dataset.Pair, error], subset func(*dataset.Pair) string) (c Comparer, named int, err error) {
	var parts [numFolds]Games
	for p, err := range pairs {
		if err != nil {
			return nil, named, err
		}
		if skipLabel(p.P) != "" || p.First.Author == "" || p.Second.Author == "" {
			continue
		}
		named++
		s := ""
		if subset != nil {
			s = subset(p)
		}
		parts[foldOf(p.Prompt.Key())].Add(p.First.Author, p.Second.Author, s, p.P)
	}
	return &authors{crossFit(&parts), subset}, named, nil
}

type authors struct {
	fits   [numFolds]*Strengths
	subset func(*dataset.Pair) string
}

// Compare scores by who wrote the replies.
func (a *authors) Compare(_ context.Context, p *dataset.Pair) (Comparison, error) {
	s := ""
	if a.subset != nil {
		s = a.subset(p)
	}
	fit := a.fits[foldOf(p.Prompt.Key())]
	first, ok := fit.Of(p.First.Author, s)
	second, ok2 := fit.Of(p.Second.Author, s)
	if !ok || !ok2 {
		return Comparison{}, ErrAbstain
	}
	return Comparison{Margin: first - second, First: first, Second: second, Scored: true}, nil
}

// AuthorFigures are those of the author baseline, over the pairs whose two
// authors both have a strength.
type AuthorFigures struct {
	N       int `json:"n"`
	Authors int `json:"authors"` // who wrote them
	Beside
}

// Beside is how a baseline did on its pairs.
type Beside struct {
	Accuracy Figure   `json:"accuracy"`
	CI       Interval `json:"ci"`
	// Delta is the comparer's accuracy on these pairs less the baseline's, with a
	// paired interval.
	Delta   Figure   `json:"delta"`
	DeltaCI Interval `json:"delta_ci"`
}

// besides measures a baseline on the rows, sorted by cluster, of which it gives a
// margin for the chosen reply; n counts them.
func besides(rows []row, o Options, margin func(*row) (float64, bool)) (n int, f Beside) {
	var t table
	last := -1
	for i := range rows {
		r := &rows[i]
		z, ok := margin(r)
		if !ok {
			continue
		}
		if last < 0 || rows[last].cluster != r.cluster {
			t.next()
		}
		last = i
		n++
		own, base := correct(r.margin, r.p), correct(z, r.p)
		t.add(base, own-base)
	}
	if n == 0 {
		return 0, f
	}
	point, samples := t.means(), t.resample(o)
	f.Accuracy, f.Delta = Figure(point[0]), Figure(point[1])
	f.CI = interval(samples[0], point[0], Interval{0, 1})
	f.DeltaCI = interval(samples[1], point[1], Interval{-1, 1})
	return n, f
}

// authorFigures compares by who wrote the replies, nil where no pair of the rows
// can be. The rows are sorted by cluster.
func authorFigures(rows []row, o Options) *AuthorFigures {
	fits := o.fits(rows)
	f := &AuthorFigures{}
	names := map[string]bool{}
	f.N, f.Beside = besides(rows, o, func(r *row) (float64, bool) {
		z, ok := fits[foldOf(r.cluster)].Margin(r.chosenBy, r.rejectedBy, r.subset)
		if ok {
			names[r.chosenBy], names[r.rejectedBy] = true, true
		}
		return z, ok
	})
	if f.N == 0 {
		return nil
	}
	f.Authors = len(names)
	return f
}

// fits are the strengths that rows are compared by: those that were given, else
// cross-fitted ones.
func (o *Options) fits(rows []row) (fits [numFolds]*Strengths) {
	if o.Authors != nil {
		for k := range fits {
			fits[k] = o.Authors
		}
		return fits
	}
	var parts [numFolds]Games
	any := false
	for i := range rows {
		r := &rows[i]
		any = any || r.chosenBy != "" && r.rejectedBy != ""
		parts[foldOf(r.cluster)].Add(r.chosenBy, r.rejectedBy, r.subset, r.p)
	}
	if any {
		fits = crossFit(&parts)
	}
	return fits
}
