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
	// Certainty is what the validation pairs say of the margins; nil where they
	// were too few.
	Certainty *Certainty
	// Debias is what the model was kept from preferring.
	Debias []string
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
	*Model
	*extractor
	rows  []entry
	dense []float32
	// What the prompt's words add to the weights of the gated style features,
	// and the variances of that.
	gateWeight, gateVariance []float64
	expected                 [numExpected]float64
}

func (m *Model) acquire(c dataset.Conversation) *scorer {
	s, ok := m.scratch.Get().(*scorer)
	if !ok {
		s = &scorer{
			Model: m, extractor: newExtractor(m.space.spec), dense: make([]float32, m.space.dense()),
			gateWeight: make([]float64, len(gated)), gateVariance: make([]float64, len(gated)),
		}
	}
	s.setPrompt(c)
	s.openGate()
	return s
}

// Score scores one reply to a conversation, which may be nil where the prompt
// is unknown.
func (m *Model) Score(c dataset.Conversation, reply string) Score {
	s := m.acquire(c)
	defer m.scratch.Put(s)
	return s.score(reply)
}

// Margin gives the log-odds that the pair's first reply is the better one, and
// the scores of which it is the difference.
func (m *Model) Margin(p *dataset.Pair) (margin, first, second float64) {
	s := m.acquire(p.Prompt)
	defer m.scratch.Put(s)
	first = s.score(p.First.Text).Mean
	second = s.score(p.Second.Text).Mean
	return first - second, first, second
}

// openGate computes what the words of the prompt that is set do to the gated
// style features.
func (s *scorer) openGate() {
	v := s.space.gate
	if v == nil {
		return
	}
	clear(s.gateWeight)
	clear(s.gateVariance)
	s.rows = s.promptWords(s.rows[:0])
	s.expected = s.space.expect.at(s.rows)
	norm := v.gateNorm(s.rows)
	for _, e := range s.rows {
		i := v.at[e.bucket()]
		if i < 0 {
			continue
		}
		x := float64(v.idf[i]) * norm
		first := s.space.gates() + int(i)*len(gated)
		for g := range gated {
			s.gateWeight[g] += x * float64(s.weight[first+g])
			s.gateVariance[g] += x * x * float64(s.variance[first+g])
		}
	}
}

// score scores a reply to the prompt that is set.
func (s *scorer) score(reply string) Score {
	s.rows = s.reply(reply, s.rows[:0], s.dense)
	sp := s.space
	mean, variance := -s.offset, 0.0
	k := sp.dense()
	for j := range k {
		v := sp.standard(j, s.dense[j])
		mean += float64(s.weight[j]) * v
		variance += float64(s.variance[j]) * v * v
	}
	if sp.gate != nil {
		for g, j := range gatedAt {
			v := sp.standard(j, s.dense[j])
			mean += s.gateWeight[g] * v
			variance += s.gateVariance[g] * v * v
		}
		for j := range k {
			v := sp.standard(j, s.dense[j])
			for c, g := range s.expected {
				at := sp.expects() + j*numExpected + c
				mean += float64(s.weight[at]) * v * g
				variance += float64(s.variance[at]) * v * v * g * g
			}
		}
	}
	if sp.words != nil {
		norm := sp.words.norm(s.rows)
		w, q := 0.0, 0.0
		for _, e := range s.rows {
			v := e.tf()
			i := sp.words.at[e.bucket()]
			if i < 0 {
				v *= float64(sp.words.rare)
				q += s.prior * v * v
				continue
			}
			v *= float64(sp.words.idf[i])
			at := sp.wordCol(int(i))
			wi, qi := float64(s.weight[at]), float64(s.variance[at])
			if int(i) < sp.common {
				for c, g := range s.expected {
					wi += g * float64(s.weight[at+1+c])
					qi += g * g * float64(s.variance[at+1+c])
				}
			}
			w += wi * v
			q += qi * v * v
		}
		mean += w * norm
		variance += q * norm * norm
	}
	t := s.Metadata.Temperature
	return Score{Mean: mean / t, Std: math.Sqrt(variance) / t}
}
