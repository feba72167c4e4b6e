package rm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	// Holdout is the share of the prompts that were kept from the training; 0 for
	// none, and for a file of a build that did not write it down.
	Holdout float64
	// PromptKey is what told prompts apart in the training's split: [KeyFolded], or
	// empty for [dataset.Conversation.Hash], as in files of builds that did not write
	// it down.
	PromptKey string
	// Certainty is what the validation pairs say of the margins; nil where they
	// were too few.
	Certainty *Certainty
	// Profile is what the replies of the holdout were like, nil for files of builds
	// that kept none.
	Profile *Profile
	// Head is the form of the model; see Options.Head.
	Head string
	// Debias is what the model was kept from preferring.
	Debias []string
	// Tie is ν of the Davidson model that the labels' ties were fitted by; 0
	// without. See TieProbability.
	Tie float64
	// ConstitutionHash and Judge say where the labels come from, Metrics how
	// good the model is; Train leaves them empty for the caller to fill in.
	ConstitutionHash dataset.Hash
	Judge            string
	Metrics          json.RawMessage
	// Version is that of the program that trained the model and Command its
	// command line; HoldoutAuthors is what that said of authors kept from the
	// training. They are the caller's to fill in, too.
	Version, Command, HoldoutAuthors string
	// Created is when the model was trained, to the second. Train leaves it at
	// the zero time, which is left out of the file: so the file is a function of
	// the data and the settings alone.
	Created time.Time
}

// KeyFolded is a split by [dataset.Conversation.Key].
const KeyFolded = "folded"

// Key is what told prompts apart in the training's split.
func (d *Metadata) Key() func(dataset.Conversation) dataset.Hash {
	if d.PromptKey == "" {
		return dataset.Conversation.Hash
	}
	return dataset.Conversation.Key
}

// TieProbability gives the probability that neither reply of a pair with the
// given margin is the better one; 0 for a model without ties.
func (d *Metadata) TieProbability(margin float64) float64 {
	if d.Tie == 0 {
		return 0
	}
	return tieProbability(d.Tie, margin*d.Temperature)
}

// Score is what a model makes of a reply. Scores compare replies to one and
// the same conversation; their zero is the mean over the training replies.
type Score struct {
	// Mean is the score: σ of the difference of two is the probability that
	// the first reply is the better one.
	Mean float64
	// Std is its standard deviation: in an ensemble that of the members' scores,
	// brought to the same spread; else that under the Laplace approximation to
	// the posterior of the weights, with the diagonal of the Hessian for all of
	// it: √(Σⱼ φⱼ²/Hⱼⱼ)/T with Hⱼⱼ = λ + Σᵢ σ(zᵢ)(1 − σ(zᵢ))·xᵢⱼ². Features never
	// seen in training count with the prior's variance 1/λ. It leaves out the
	// correlations between weights and any doubt about the model's form, so it
	// ranks replies by how little the training data say of them; it is no
	// interval of stated coverage.
	Std float64
}

// Model is a trained reward model. It is safe for concurrent use while nobody
// writes to Metadata or calls Bind.
type Model struct {
	Metadata Metadata

	space   *space
	members []member
	blend   blend
	sources []Source // one for each of space.sources, once they are bound
	scratch sync.Pool
}

// Sources names the feature groups from outside that the model needs bound
// before it scores.
func (m *Model) Sources() []string {
	var names []string
	for _, s := range m.space.sources {
		names = append(names, s.Name)
	}
	return names
}

// SourceColumns gives, by the names of the sources that the model needs, the names
// of their columns.
func (m *Model) SourceColumns() map[string][]string {
	out := map[string][]string{}
	for _, s := range m.space.sources {
		out[s.Name] = s.Columns
	}
	return out
}

// Members names the parts of which a score is made: the members of an ensemble
// or a stack, or principles; one name where there is one part.
func (m *Model) Members() []string {
	var names []string
	for _, k := range m.members {
		names = append(names, k.name)
	}
	return names
}

// Bind gives the model the sources of its features from outside, by their names.
// Others are passed over.
func (m *Model) Bind(sources ...Source) error {
	bound := make([]Source, len(m.space.sources))
	for i, want := range m.space.sources {
		j := slices.IndexFunc(sources, func(s Source) bool { return s.Name() == want.Name })
		if j < 0 {
			return fmt.Errorf("the model needs the features %s", want.Name)
		}
		if err := want.check(sources[j]); err != nil {
			return err
		}
		bound[i] = sources[j]
	}
	m.sources = bound
	return nil
}

// hit is a known hashed feature of a text: its place in the vocabulary and its
// value.
type hit struct {
	place int32
	value float32
}

// scorer is the scratch space of one scoring goroutine: the features of the
// prompt and the reply that are set, as the heads see them.
type scorer struct {
	*Model
	*extractor
	rows     []entry
	dense    []float32
	standard []float64 // dense, standardised
	hits     []hit     // n-grams of the reply
	charHits []hit
	strange  float64 // sum of the squares of hashed features never seen in training
	gates    []hit   // words of the prompt
	asked    []float64
	expected [numExpected]float64

	states                  []headState
	shares, value, variance []float64
}

func (m *Model) acquire(c dataset.Conversation, asked []float32) *scorer {
	s, ok := m.scratch.Get().(*scorer)
	if !ok {
		n := len(m.members)
		s = &scorer{
			Model: m, extractor: newExtractor(m.space.spec),
			dense: make([]float32, m.space.dense()), standard: make([]float64, m.space.dense()),
			asked:  make([]float64, m.space.asked()),
			shares: make([]float64, n), value: make([]float64, n), variance: make([]float64, n),
		}
		for _, k := range m.members {
			s.states = append(s.states, k.head.open(m))
		}
	}
	s.setPrompt(c)
	if v := m.space.gate; v != nil {
		s.rows = s.promptWords(s.rows[:0])
		s.expected = s.space.expect.at(s.rows)
		s.gates = s.gates[:0]
		norm := v.gateNorm(s.rows)
		for _, e := range s.rows {
			if i := v.at[e.bucket()]; i >= 0 {
				s.gates = append(s.gates, hit{i, float32(float64(v.idf[i]) * norm)})
			}
		}
	}
	for j, v := range asked {
		s.asked[j] = s.space.standardAsked(j, v)
	}
	m.blend.shares(len(m.members), s.expected, s.shares)
	for _, h := range s.states {
		h.prompt(s)
	}
	return s
}

// score scores a reply to the prompt that is set; outside is what the sources
// say of it.
func (s *scorer) score(reply string, outside []float32) Score {
	s.read(reply, outside)
	for k := range s.states {
		m := &s.members[k]
		v, q := s.states[k].reply(s)
		s.value[k], s.variance[k] = (v-m.offset)*m.scale, q*m.scale*m.scale
	}
	out := s.blend.combine(s.shares, s.value, s.variance)
	t := s.Metadata.Temperature
	return Score{Mean: out.Mean / t, Std: out.Std / t}
}

// read sets the features of a reply.
func (s *scorer) read(reply string, outside []float32) {
	sp := s.space
	s.rows = s.reply(reply, s.rows[:0], s.dense)
	copy(s.dense[len(s.dense)-len(outside):], outside)
	for j, v := range s.dense {
		s.standard[j] = sp.standard(j, v)
	}
	s.strange = 0
	s.hits = sp.words.hits(s.rows, s.hits[:0], &s.strange)
	if sp.chars != nil {
		s.rows = s.charGrams(reply, s.rows[:0])
		s.charHits = sp.chars.hits(s.rows, s.charHits[:0], &s.strange)
	}
}

// ErrUnbound tells that a model was asked for scores before it was given the
// sources of its features.
var ErrUnbound = errors.New("the sources of the model's features are not bound")

// ScoreAll scores replies, each to its own conversation. It asks each source
// once.
func (m *Model) ScoreAll(ctx context.Context, items []Item) ([]Score, error) {
	reply, prompt, err := m.outside(ctx, items)
	if err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	out := make([]Score, len(items))
	for i := 0; i < len(items); {
		s := m.acquire(items[i].Prompt, prompt[i])
		j := i
		for ; j < len(items) && samePrompt(items[i].Prompt, items[j].Prompt); j++ {
			out[j] = s.score(items[j].Reply, reply[j])
		}
		m.scratch.Put(s)
		i = j
	}
	return out, nil
}

func (m *Model) outside(ctx context.Context, items []Item) (reply, prompt [][]float32, err error) {
	if len(m.space.sources) == 0 {
		return make([][]float32, len(items)), make([][]float32, len(items)), nil
	}
	if m.sources == nil {
		return nil, nil, ErrUnbound
	}
	return vectors(ctx, m.sources, m.space.sources, items)
}

// samePrompt tells whether two conversations are the same one.
func samePrompt(a, b dataset.Conversation) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Score scores one reply to a conversation, which may be nil where the prompt
// is unknown.
func (m *Model) Score(ctx context.Context, c dataset.Conversation, reply string) (Score, error) {
	s, err := m.ScoreAll(ctx, []Item{{c, reply}})
	if err != nil {
		return Score{}, err
	}
	return s[0], nil
}

// Margin gives the log-odds that the pair's first reply is the better one, and
// the scores of which it is the difference.
func (m *Model) Margin(ctx context.Context, p *dataset.Pair) (margin float64, first, second Score, err error) {
	s, err := m.ScoreAll(ctx, []Item{{p.Prompt, p.First.Text}, {p.Prompt, p.Second.Text}})
	if err != nil {
		return 0, first, second, err
	}
	return s[0].Mean - s[1].Mean, s[0], s[1], nil
}
