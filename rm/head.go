package rm

import "math"

// A head gives a number for a reply; the model's score is made of the numbers of
// its heads.
type head interface {
	// open gives the scratch space of one scorer.
	open(m *Model) headState
	// margins computes the head's differences of rows.
	margins(s *space, rows []row, x *matrix, out []float64)
	// tensors gives what the head consists of, for the file.
	tensors() map[string]tensor
}

// headState is a head at work.
type headState interface {
	// prompt is called when the prompt of s has changed.
	prompt(s *scorer)
	// reply gives the number for the reply whose features are in s, and its
	// variance; 0 where the head does not know one.
	reply(s *scorer) (value, variance float64)
}

// member is a head's place in a model. Its value is (head − offset)·scale, so
// that it has mean 0 over the training replies, and in an ensemble the same
// spread as the others.
type member struct {
	name   string
	head   head
	offset float64
	scale  float64
}

// How the members' values make a score.
const (
	blendOne  = "one"  // the only member's
	blendMean = "mean" // an ensemble: their mean; their standard deviation is the uncertainty
	blendSum  = "sum"  // a stack: the sum, each times its coefficient
	blendGate = "gate" // principles: the sum, each times a share that hangs on the prompt
)

// blend says how.
type blend struct {
	Kind string `json:"kind"`
	// Coef are the coefficients of a stack; of a gate the one number that all its
	// shares are multiplied by.
	Coef []float64 `json:"coef,omitempty"`
	// Gate has for each member a constant and a factor for each component of the
	// expectation; the shares are the softmax of what they come to.
	Gate [][]float64 `json:"gate,omitempty"`
}

// shares gives the coefficients of n members for a prompt.
func (m *blend) shares(n int, expected [numExpected]float64, out []float64) {
	switch m.Kind {
	case blendOne:
		out[0] = 1
	case blendMean:
		for k := range n {
			out[k] = 1 / float64(n)
		}
	case blendSum:
		copy(out, m.Coef)
	case blendGate:
		top := math.Inf(-1)
		for k, g := range m.Gate {
			out[k] = g[0]
			for c := range expected {
				out[k] += g[1+c] * expected[c]
			}
			top = max(top, out[k])
		}
		sum := 0.0
		for k := range n {
			out[k] = math.Exp(out[k] - top)
			sum += out[k]
		}
		for k := range n {
			out[k] *= m.Coef[0] / sum
		}
	}
}

// combine makes a score of the members' values and variances, in the unit of the
// members.
func (m *blend) combine(shares, value, variance []float64) Score {
	var s Score
	for k, c := range shares {
		s.Mean += c * value[k]
		s.Std += c * c * variance[k]
	}
	if m.Kind == blendMean && len(value) > 1 {
		s.Std = 0
		for _, v := range value {
			s.Std += (v - s.Mean) * (v - s.Mean)
		}
		s.Std /= float64(len(value) - 1)
	}
	s.Std = math.Sqrt(s.Std)
	return s
}
