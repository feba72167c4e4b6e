package label

// RankWidth is Rank with a prior of one width.
func RankWidth(k int, cs []Comparison, width float64) *Ranking {
	return fitScores(make([]float64, k), cs, width).ranking()
}
