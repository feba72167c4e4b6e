package rm

import (
	"encoding/json"
	"math"
	"sync"
	"time"

	"cai/dataset"
)

// Metadata is what a model file says of itself.
type Metadata struct {
	// FormatVersion is that of the file's layout and FeatureVersion that of
	// the definition of the features.
	FormatVersion, FeatureVersion int
	// Features are the groups of features, Dim the buckets of the hashed ones
	// (0 without them), NGrams the longest word n-gram.
	Features    []string
	Dim, NGrams int
	// Seed, L2, Temperature, Pairs and DataHash are the training's: Pairs is
	// how many the weights were fitted on, DataHash that of Training.
	Seed            int64
	L2, Temperature float64
	Pairs           int
	DataHash        dataset.Hash
	// ConstitutionHash and Judge say where the labels come from, Metrics how
	// good the model is; Train leaves them empty for the caller to fill in.
	ConstitutionHash dataset.Hash
	Judge            string
	Metrics          json.RawMessage
	// Created is when the model was trained, to the second. A zero time is
	// left out of the file, which makes the file a function of the data and
	// the settings alone.
	Created time.Time
}

// Score is what a model makes of a reply. Scores compare replies to one and
// the same conversation; their zero is the mean over the training replies.
type Score struct {
	// Mean is the score: σ of the difference of two is the probability that
	// the first reply is the better one.
	Mean float64
	// Std is its standard deviation under the Laplace approximation to the
	// posterior of the weights, with the diagonal of the Hessian for all of
	// it: √(Σⱼ φⱼ²/Hⱼⱼ)/T with Hⱼⱼ = λ + Σᵢ σ(zᵢ)(1 − σ(zᵢ))·xᵢⱼ². Features never
	// seen in training count with the prior's variance 1/λ. It leaves out the
	// correlations between weights and any doubt about the model's form, so it
	// ranks replies by how little the training data say of them; it is no
	// interval of stated coverage.
	Std float64
}

// Model is a trained reward model. It is safe for concurrent use while nobody
// writes to Metadata.
type Model struct {
	Metadata Metadata

	space    *space
	weight   []float32 // by column
	variance []float32 // 1/Hⱼⱼ by column
	prior    float64   // 1/λ
	offset   float64   // mean of wᵀφ over the training replies
	scratch  sync.Pool
}

// scorer is the scratch space of one scoring goroutine.
type scorer struct {
	*extractor
	rows  []entry
	style []float32
}

func (m *Model) acquire() *scorer {
	if s, ok := m.scratch.Get().(*scorer); ok {
		return s
	}
	return &scorer{extractor: newExtractor(m.space.spec), style: make([]float32, m.space.styles())}
}

// Score scores one reply to a conversation, which may be nil where the prompt
// is unknown.
func (m *Model) Score(c dataset.Conversation, reply string) Score {
	s := m.acquire()
	defer m.scratch.Put(s)
	s.setPrompt(c)
	return m.score(s, reply)
}

// Margin gives the log-odds that the pair's first reply is the better one, and
// the scores of which it is the difference.
func (m *Model) Margin(p *dataset.Pair) (margin, first, second float64) {
	s := m.acquire()
	defer m.scratch.Put(s)
	s.setPrompt(p.Prompt)
	first = m.score(s, p.First.Text).Mean
	second = m.score(s, p.Second.Text).Mean
	return first - second, first, second
}

// score scores a reply to the prompt that is set.
func (m *Model) score(s *scorer, reply string) Score {
	s.rows = s.reply(reply, s.rows[:0], s.style)
	sp := m.space
	mean, variance := -m.offset, 0.0
	k := sp.styles()
	for j := range k {
		v := sp.standard(j, s.style[j])
		mean += float64(m.weight[j]) * v
		variance += float64(m.variance[j]) * v * v
	}
	if len(s.rows) > 0 {
		norm := sp.norm(s.rows)
		w, q := 0.0, 0.0
		for _, e := range s.rows {
			if i := sp.at[e.bucket()]; i >= 0 {
				v := e.tf() * float64(sp.idf[i])
				w += float64(m.weight[k+int(i)]) * v
				q += float64(m.variance[k+int(i)]) * v * v
			} else {
				v := e.tf() * float64(sp.rare)
				q += m.prior * v * v
			}
		}
		mean += w * norm
		variance += q * norm * norm
	}
	t := m.Metadata.Temperature
	return Score{Mean: mean / t, Std: math.Sqrt(variance) / t}
}
