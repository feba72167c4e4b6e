package rm

// numFolds is the number of parts of a cross-fitting.
const numFolds = 5

// foldSeed sets the folds apart from the split into parts and the ensemble's
// resamples.
const foldSeed = 0x2545f491

// fold gives the part that a row's prompt falls into, which hangs on the prompt
// and the seed alone.
func (r *row) fold(seed int64) int { return int(place(r.prompt, seed^foldSeed) * numFolds) }

// outOfFold computes margins of all rows by fits that did not see their prompts:
// fit is given weights of the rows, 0 for those of the fold that is left out, and
// predicts margins of all rows.
func (f *fitter) outOfFold(fit func(fold int, use []bool, z []float64) error) ([]float64, error) {
	out, z := make([]float64, len(f.rows)), make([]float64, len(f.rows))
	use := make([]bool, len(f.rows))
	for k := range numFolds {
		for i := range f.rows {
			use[i] = f.rows[i].fold(f.o.Seed) != k
		}
		if err := fit(k, use, z); err != nil {
			return nil, err
		}
		for i := range z {
			if !use[i] {
				out[i] = z[i]
			}
		}
	}
	return out, nil
}

// only gives the matrix with the weights of the rows that are not used at 0.
func (m *matrix) only(use []bool) *matrix {
	out := *m
	out.weight = make([]float64, m.rows())
	for i, u := range use {
		if u {
			out.weight[i] = 1
			if m.weight != nil {
				out.weight[i] = m.weight[i]
			}
		}
	}
	return &out
}
