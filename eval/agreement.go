package eval

import (
	"math"
	"slices"

	"cai/dataset"
)

// WeightedKappa is Cohen's weighted κ (1968) between two raters of the same
// items on a scale of ordered classes 0 … classes−1:
//
//	κ_w = 1 − Σ w_ij o_ij / Σ w_ij e_ij, w_ij = |i − j|^power
//
// with o the joint shares and e the products of both raters' own. Power 1 gives
// linear weights, 2 quadratic ones. NaN over no items, for a class outside the
// scale, and where both raters only ever name one and the same class.
func WeightedKappa(a, b []int, classes int, power float64) float64 {
	if len(a) != len(b) || len(a) == 0 || classes < 1 {
		return math.NaN()
	}
	na, nb := make([]float64, classes), make([]float64, classes)
	joint := make([]float64, classes*classes)
	for i := range a {
		if a[i] < 0 || b[i] < 0 || a[i] >= classes || b[i] >= classes {
			return math.NaN()
		}
		na[a[i]]++
		nb[b[i]]++
		joint[a[i]*classes+b[i]]++
	}
	observed, expected := 0.0, 0.0
	for i := range classes {
		for j := range classes {
			w := math.Pow(math.Abs(float64(i-j)), power)
			observed += w * joint[i*classes+j]
			expected += w * na[i] * nb[j]
		}
	}
	return 1 - observed*float64(len(a))/expected
}

// Alpha is Krippendorff's α (1970; 2011 for this computation) for nominal
// classes: units[u] are the classes that unit u was given, in any order and by
// any number of annotators, who may be others for each unit. What is missing is
// left away. Over the units with at least two values, with m_u values in unit u,
// n_uc of them c, n of all and n_c of them c:
//
//	α = 1 − D_o/D_e
//	D_o = 1/n Σ_u (m_u² − Σ_c n_uc²)/(m_u − 1)
//	D_e = (n² − Σ_c n_c²)/(n(n − 1))
//
// 1 is perfect agreement, 0 that of chance. NaN where nothing can be paired or
// only one class is ever named.
func Alpha[T comparable](units [][]T) float64 {
	apart := map[int]int{} // by m: Σ m² − Σ_c n_uc², in whole numbers
	all := map[T]int{}
	n := 0
	for _, u := range units {
		m := len(u)
		if m < 2 {
			continue
		}
		n += m
		own := map[T]int{}
		for _, c := range u {
			own[c]++
			all[c]++
		}
		apart[m] += m * m
		for _, k := range own {
			apart[m] -= k * k
		}
	}
	var sizes []int
	for m := range apart {
		sizes = append(sizes, m)
	}
	slices.Sort(sizes) // so that the sum hangs on no order
	observed := 0.0
	for _, m := range sizes {
		observed += float64(apart[m]) / float64(m-1)
	}
	expected := n * n
	for _, k := range all {
		expected -= k * k
	}
	return 1 - observed*float64(n-1)/float64(expected)
}

// Vote is what an annotator chose of a pair.
type Vote int8

// The votes. NoVote stands where an annotator was not asked.
const (
	NoVote Vote = iota
	VoteFirst
	VoteSecond
	VoteTie
)

// VoteOf gives the vote that a probability of the first reply amounts to: a tie
// at ½, none for NaN.
func VoteOf(p float64) Vote {
	switch {
	case math.IsNaN(p):
		return NoVote
	case p > 0.5:
		return VoteFirst
	case p < 0.5:
		return VoteSecond
	}
	return VoteTie
}

// credit is the expected agreement of a vote with the majority of others, where
// a draw among their most frequent votes decides: 1/k for one of k such votes.
// It is NaN where there is no vote or there are no others.
func credit(v Vote, others []Vote) float64 {
	var counts [VoteTie + 1]int
	for _, o := range others {
		if o > NoVote && o <= VoteTie {
			counts[o]++
		}
	}
	most := max(counts[VoteFirst], counts[VoteSecond], counts[VoteTie])
	if v == NoVote || most == 0 {
		return math.NaN()
	}
	if counts[v] < most {
		return 0
	}
	k := 0
	for _, c := range counts[VoteFirst:] {
		if c == most {
			k++
		}
	}
	return 1 / float64(k)
}

// Ceiling is how well annotators agree with each other, and a judge with them.
// Agreement is with the majority of the other annotators, and a judge's is taken
// against just the same majorities, each without one of the annotators, so that
// Human and Judge are equally hard. Where votes of the others are equally
// frequent the agreement is shared, as if a draw decided.
type Ceiling struct {
	N          int      `json:"n"`          // items with two votes or more
	Annotators []Figure `json:"annotators"` // each against the majority of the others
	Votes      []int    `json:"votes"`      // of each that have other votes beside them
	// Human is the mean over items of the mean over their annotators.
	Human   Figure   `json:"human"`
	HumanCI Interval `json:"human_ci"`
	// Judge is over the items that the judge voted on, and so is Delta, Judge −
	// Human, with a paired interval.
	JudgeN  int      `json:"judge_n"`
	Judge   Figure   `json:"judge"`
	JudgeCI Interval `json:"judge_ci"`
	Delta   Figure   `json:"delta"`
	DeltaCI Interval `json:"delta_ci"`
	// JudgeAll is the judge against the majority of all annotators, an easier
	// target than that of one fewer.
	JudgeAll Figure `json:"judge_all"`
}

// HumanCeiling compares annotators, votes[i][k] being the k-th one's vote on
// item i, and a judge, which may be nil. Intervals are clustered.
func HumanCeiling(votes [][]Vote, judge []Vote, clusters []dataset.Hash, o Options) Ceiling {
	width := 0
	for _, v := range votes {
		width = max(width, len(v))
	}
	c := Ceiling{Annotators: make([]Figure, width), Votes: make([]int, width)}
	var human, ofJudge, delta, all []float64
	var humanIn, judgeIn []dataset.Hash
	var others []Vote
	sums := make([]float64, width)
	for i, vs := range votes {
		j := NoVote
		if judge != nil {
			j = judge[i]
		}
		own, his, n := 0.0, 0.0, 0
		for k, v := range vs {
			others = append(append(others[:0], vs[:k]...), vs[k+1:]...)
			a := credit(v, others)
			if math.IsNaN(a) {
				continue
			}
			sums[k] += a
			c.Votes[k]++
			own += a
			n++
			if j != NoVote {
				his += credit(j, others)
			}
		}
		if n == 0 {
			continue
		}
		human, humanIn = append(human, own/float64(n)), append(humanIn, clusters[i])
		if j != NoVote {
			ofJudge, judgeIn = append(ofJudge, his/float64(n)), append(judgeIn, clusters[i])
			delta = append(delta, (his-own)/float64(n))
			all = append(all, credit(j, vs))
		}
	}
	c.N, c.JudgeN = len(human), len(ofJudge)
	for k := range sums {
		c.Annotators[k] = Figure(sums[k] / float64(c.Votes[k]))
	}
	c.Human, c.HumanCI = Figure(average(human)), BootstrapCI(human, humanIn, Interval{0, 1}, o)
	c.Judge, c.JudgeCI = Figure(average(ofJudge)), BootstrapCI(ofJudge, judgeIn, Interval{0, 1}, o)
	c.Delta, c.DeltaCI = Figure(average(delta)), BootstrapCI(delta, judgeIn, Interval{-1, 1}, o)
	c.JudgeAll = Figure(average(all))
	return c
}

// average is NaN over nothing.
func average(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}
