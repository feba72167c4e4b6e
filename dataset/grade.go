package dataset

import "time"

// Grade is what one judge made of one question about one reply: a criterion of a
// rubric, or whether one applies. It is a distribution over the levels of a
// scale, never a verdict.
type Grade struct {
	Prompt        Conversation
	Response      Response
	Judge, Rubric Hash
	// Question is the hash of what was asked: the question, its levels and the
	// reference answer, where there was one.
	Question Hash
	Name     string // of the question in the rubric, for people
	Sample   int    // from 0; odd ones list the levels from the highest down
	// Distribution has the probability of each level, the lowest first,
	// normalised over them; Coverage is what fell on any of them, 0 to 1.
	Distribution []float64
	Coverage     float64
	Evidence     Evidence
	PromptTokens int
	Duration     time.Duration
	Created      time.Time
	// Doubt is as [Judgment] has it.
	Doubt string
}

// Score is the expected level, from 0 at the lowest to 1 at the highest: of a
// question of yes or no the probability of yes.
func (g *Grade) Score() float64 { return ExpectedLevel(g.Distribution) }

// ExpectedLevel is Σ i·p_i / (n − 1) over the levels i = 0 … n − 1.
func ExpectedLevel(p []float64) float64 {
	sum := 0.0
	for i, x := range p {
		sum += float64(i) * x
	}
	return sum / float64(len(p)-1)
}

// Evidence is a quotation that a grade rests on.
type Evidence struct {
	Asked bool // false: the model was not asked for any
	// Quote is the model's quotation; empty where it named none.
	Quote string
	// Verified tells that Quote is in the reply, word for word, blanks aside.
	Verified bool
}
