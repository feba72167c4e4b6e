package rm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cai/dataset"
)

// Feature groups.
const (
	FeatureHash  = "hash"  // hashed word n-grams of the reply
	FeatureStyle = "style" // measures of style and of the relation to the prompt
	FeatureChars = "chars" // hashed character n-grams of the reply
)

// DefaultDim is the number of buckets of the hashed features where Options.Dim
// is 0.
const DefaultDim = 1 << 20

// DefaultHoldout is a usual share for Options.Holdout.
const DefaultHoldout = 0.1

// validationShare is the share of the prompts that chooses L2 and temperature.
const validationShare = 0.1

// defaultL2 is the ridge path where Options.L2 is empty.
var defaultL2 = []float64{30, 10, 3, 1, 0.3, 0.1}

// Options are the settings of [Train]. The zero value trains on every feature
// group with the defaults and keeps no holdout.
type Options struct {
	// Features are the groups to use, of "hash", "style" and "chars"; empty is the
	// first two where there are no Sources.
	Features []string
	// Sources are the groups of features from outside, used beside Features.
	Sources []Source
	// Holdout is the share of the prompts, from 0 up to but not including 0.9,
	// whose pairs are only scored, never trained on.
	Holdout float64
	// Seed decides which prompts stand in which part, and nothing else. The
	// same seed puts a prompt into the same part whatever else the data hold.
	Seed int64
	// L2 are the ridges λ to choose from, in the loss Σ cross-entropy + λ/2·‖w‖²,
	// where the sum is over pairs; empty is a default path.
	L2 []float64
	// Dim is the number of buckets of the hashed features, a power of two from
	// 2^8 to 2^24; 0 is DefaultDim.
	Dim int
	// Progress, if set, is called now and then from the calling goroutine with
	// the stage ("features", "path", "refit", "holdout"), what is done and what
	// there is to do; total is 0 where it is unknown.
	Progress func(stage string, done, total int)

	// Debias names what the model is kept from preferring: "length" (code
	// points), "markup" (bold, lists, headings, code, tables). It needs the style
	// features.
	Debias []string
	// LengthCorrelation is where debiasing for length ends: at the size of
	// Spearman's ρ between margin and difference of length, in code points, on
	// the validation pairs. 0 takes all of it away, as far as the validation
	// pairs can tell.
	LengthCorrelation float64

	// Head is the form of the model, one of the constants; empty is HeadLinear.
	Head string
	// Ensemble is the number of heads that are fitted, each to a resample of the
	// prompts; 0 and 1 are one head, fitted to the data as they are. It goes with
	// HeadLinear and HeadMLP.
	Ensemble int
	// Principles names the heads of HeadPrinciples, and Votes gives for each of
	// them the probability that a pair's First is the better reply by it, NaN
	// where nobody was asked.
	Principles []string
	Votes      func(*dataset.Pair) []float64
	// Rest adds to the heads of HeadPrinciples one that is fitted to the labels
	// themselves, for labels that do not come from the principles.
	Rest bool
	// Weight gives how much a pair counts beside others, such as how far its judge
	// can be relied on: a positive number, or 0 to leave it out of the fit; nil is
	// 1 for all. The others of this group say how labels come from margins, as the
	// likelihood in this package defines it; they go with HeadLinear, and only one
	// of Margin, Noise and Ties.
	Weight func(*dataset.Pair) float64
	// Margin is that of a pair with the label 1 or 0, in log-odds.
	Margin float64
	// Noise is the share, below 0.5, of labels that are the wrong way round;
	// FitNoise learns it from the data, for each Annotator, where there is such a
	// function.
	Noise     float64
	FitNoise  bool
	Annotator func(*dataset.Pair) string
	// Ties takes labels of ½ for ties, which are the more likely the closer two
	// replies are.
	Ties bool
	// Budget is how long HeadAuto may try forms of the model; 0 is ten minutes.
	Budget time.Duration

	// Memory bounds what training holds, in bytes, as far as that hangs on the
	// number of pairs; 0 is no bound. When the features of the pairs take a quarter
	// of it they are written to temporary files in TempDir, and streamed from there
	// in every pass of the fit: the model is the same, bit for bit. Only HeadLinear,
	// also as an ensemble, and HeadPrinciples can do without them; with another
	// form training ends with ErrMemory. A row for each pair, the weights and, in the
	// end, the holdout are in memory in any case.
	Memory int64
	// TempDir is where those files are; empty is os.TempDir().
	TempDir string

	key  func(dataset.Conversation) dataset.Hash // what tells prompts apart; nil is dataset.Conversation.Key
	stop context.CancelFunc                      // what a file's failure calls
	keep bool                                    // every pair is kept with its texts, and its features after training
}

// keyOf is what tells prompts apart.
func (o *Options) keyOf(c dataset.Conversation) dataset.Hash {
	if o.key != nil {
		return o.key(c)
	}
	return c.Key()
}

// ErrMemory tells that a form of the model needs the features in memory, where
// they do not fit.
var ErrMemory = errors.New("the features of the pairs exceed their share of the memory")

// streams tells whether the form can be fitted to features on disk.
func streams(head string) bool { return head == HeadLinear || head == HeadPrinciples }

// Forms of a model.
const (
	HeadLinear     = "linear"     // a sum of weights times features
	HeadMLP        = "mlp"        // a network with one hidden layer
	HeadPrinciples = "principles" // a linear head for each principle, mixed by the prompt
	HeadStack      = "stack"      // several forms and groups of features, summed
	HeadAuto       = "auto"       // the best of them by cross-validation
)

// Heads are the forms of a model.
func Heads() []string {
	return []string{HeadLinear, HeadMLP, HeadPrinciples, HeadStack, HeadAuto}
}

// RestHead is the name of the head that Options.Rest adds.
const RestHead = "labels"

// MaxEnsemble bounds Options.Ensemble.
const MaxEnsemble = 64

// Scored is a pair with the scores of its replies: σ(First.Mean − Second.Mean) is the
// model's probability that the first is better.
type Scored struct {
	Pair          *dataset.Pair
	First, Second Score
}

// Reasons under which Training.Skipped counts.
const (
	SkippedIdentical  = "identical"  // both replies are the same text
	SkippedUnlabelled = "unlabelled" // nobody said which is better
	SkippedDuplicate  = "duplicate"  // merged into a pair that came before, in either order
)

// Training is what [Train] did and measured.
type Training struct {
	// Pairs is the number of different usable pairs. Train and Validation are
	// those fitted on and those that chose L2 and Temperature; the model is
	// refitted on both. The rest is the holdout.
	Pairs, Train, Validation int
	// Skipped counts the pairs left out, by reason. A duplicate's label is
	// averaged with that of the pair it repeats.
	Skipped map[string]int
	// Features is the number of features with a weight.
	Features                     int
	FeatureSeconds, TrainSeconds float64
	// L2 and Temperature are what validation chose; Path is what it chose from.
	L2, Temperature float64
	Path            []PathPoint
	// Debias is what debiasing tried, in its order, and DebiasStrength what it
	// took; both are empty without it.
	Debias []DebiasPoint
	// Tie is ν of the Davidson model, 0 without ties; Noise the share of labels
	// that are the wrong way round, by annotator, as fitted or given.
	Tie   float64
	Noise map[string]float64
	// Interrupted tells that the fit was stopped and the model is what there was:
	// one head, fitted to the training pairs alone.
	Interrupted bool
	// Tried is what HeadAuto tried.
	Tried          []Candidate
	DebiasStrength float64
	// Certainty is the model's; see [Metadata].
	Certainty *Certainty
	// Holdout are the pairs kept aside, scored, in the order of their hashes.
	Holdout []Scored
	// DataHash identifies the usable pairs and their labels, in whatever order
	// and orientation they came.
	DataHash dataset.Hash
}

// PathPoint is one ridge tried.
type PathPoint struct {
	L2 float64 `json:"l2"`
	// LogLoss is the mean cross-entropy on the validation pairs, in nats, at
	// the temperature that suits them best; Accuracy the share of them, ties
	// of score half and pairs labelled as ties left out, that it orders as labelled.
	LogLoss  float64 `json:"log_loss"`
	Accuracy float64 `json:"accuracy"`
}

// DebiasPoint is one strength of the debiasing's penalty tried.
type DebiasPoint struct {
	Strength float64 `json:"strength"`
	// LengthSpearman is ρ of margin and difference of length on the validation
	// pairs; LogLoss and Accuracy are as in PathPoint.
	LengthSpearman float64 `json:"length_spearman"`
	LogLoss        float64 `json:"log_loss"`
	Accuracy       float64 `json:"accuracy"`
}

// resolve checks the options and fills in the defaults.
func (o Options) resolve() (Options, spec, error) {
	s := spec{dim: o.Dim, orders: orders}
	if len(o.Features) == 0 && len(o.Sources) == 0 {
		o.Features = []string{FeatureHash, FeatureStyle}
	}
	for _, f := range o.Features {
		switch f {
		case FeatureHash:
			s.hash = true
		case FeatureStyle:
			s.style = true
		case FeatureChars:
			s.chars = true
		default:
			return o, s, fmt.Errorf("unknown feature group %q: there are %s, %s and %s", f, FeatureHash, FeatureStyle, FeatureChars)
		}
	}
	for _, src := range o.Sources {
		if s.named(src.Name()) {
			return o, s, fmt.Errorf("the feature group %s is there twice", src.Name())
		}
		s.sources = append(s.sources, specOf(src))
	}
	if s.dim == 0 {
		s.dim = DefaultDim
	}
	if s.dim < minDim || s.dim > maxDim || s.dim&(s.dim-1) != 0 {
		return o, s, fmt.Errorf("%d hash buckets: need a power of two from %d to %d", s.dim, minDim, maxDim)
	}
	if !s.hash {
		s.orders = 0
		if !s.chars {
			s.dim = 0
		}
	}
	for _, d := range o.Debias {
		if nuisances[d] == nil {
			return o, s, fmt.Errorf("debias %q: there are %s and %s", d, DebiasLength, DebiasMarkup)
		}
	}
	if len(o.Debias) > 0 && !s.style {
		return o, s, fmt.Errorf("debias needs the feature group %s, which measures it", FeatureStyle)
	}
	if o.Head == "" {
		o.Head = HeadLinear
	}
	switch {
	case !slices.Contains(Heads(), o.Head):
		return o, s, fmt.Errorf("head %q: there are %s", o.Head, strings.Join(Heads(), ", "))
	case o.Ensemble < 0 || o.Ensemble > MaxEnsemble:
		return o, s, fmt.Errorf("an ensemble of %d: need up to %d", o.Ensemble, MaxEnsemble)
	case o.Ensemble > 1 && o.Head != HeadLinear && o.Head != HeadMLP:
		return o, s, fmt.Errorf("an ensemble is of linear heads or networks, not of the head %s", o.Head)
	case len(o.Debias) > 0 && o.Head != HeadLinear:
		return o, s, fmt.Errorf("debias is for linear heads, not for the head %s", o.Head)
	case o.Head != HeadLinear && (o.Margin > 0 || o.Noise > 0 || o.FitNoise || o.Ties):
		return o, s, fmt.Errorf("margin, noise and ties are for linear heads, not for the head %s", o.Head)
	case !(o.Margin >= 0) || math.IsInf(o.Margin, 0):
		return o, s, fmt.Errorf("margin %v: need a number from 0 on", o.Margin)
	case !(o.Noise >= 0 && o.Noise < 0.5):
		return o, s, fmt.Errorf("noise %v: need a share from 0 to less than 0.5", o.Noise)
	case btoi(o.Margin > 0)+btoi(o.Noise > 0 || o.FitNoise)+btoi(o.Ties) > 1:
		return o, s, errors.New("only one of margin, noise and ties can be there")
	case o.Head == HeadPrinciples && (len(o.Principles) == 0 || o.Votes == nil):
		return o, s, fmt.Errorf("the head %s needs principles and their votes", o.Head)
	}
	if o.Memory < 0 {
		return o, s, fmt.Errorf("memory of %d bytes: need a number from 0 on", o.Memory)
	}
	if c := o.LengthCorrelation; !(c >= 0 && c <= 1) {
		return o, s, fmt.Errorf("length correlation %v: need a number from 0 to 1", c)
	}
	if !(o.Holdout >= 0 && o.Holdout < 0.9) {
		return o, s, fmt.Errorf("holdout %v: need a share from 0 to less than 0.9", o.Holdout)
	}
	if len(o.L2) == 0 {
		o.L2 = defaultL2
	}
	o.L2 = slices.Clone(o.L2)
	for _, l := range o.L2 {
		if !(l > 0) || math.IsInf(l, 0) {
			return o, s, fmt.Errorf("l2 %v: need a positive number", l)
		}
	}
	// From strong to weak, so that each fit starts close to its end.
	slices.SortFunc(o.L2, func(a, b float64) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	o.L2 = slices.Compact(o.L2)
	return o, s, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// groups gives the names of the feature groups of s.
func (s spec) groups() []string {
	g := s.own()
	for _, src := range s.sources {
		g = append(g, src.Name)
	}
	return g
}

// own gives those that need no source.
func (s spec) own() []string {
	var g []string
	if s.hash {
		g = append(g, FeatureHash)
	}
	if s.style {
		g = append(g, FeatureStyle)
	}
	if s.chars {
		g = append(g, FeatureChars)
	}
	return g
}

// named tells whether a source has the given name.
func (s spec) named(name string) bool {
	return slices.ContainsFunc(s.sources, func(src sourceSpec) bool { return src.Name == name })
}

func (s spec) String() string { return strings.Join(s.groups(), ",") }
