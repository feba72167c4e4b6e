package rm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The tensors of a space in a model file. Those of hashed features have a value
// for each known bucket; those of the dense features one for each of the names in
// the metadata key "style_names" and then for each number that the sources give
// of a reply.
const (
	tensorDenseMean   = "dense.mean"   // F32
	tensorDenseScale  = "dense.scale"  // F32, 1 over the standard deviation
	tensorAskedMean   = "asked.mean"   // F32, of what the sources say of a prompt
	tensorAskedScale  = "asked.scale"  // F32
	tensorIndex       = "hash.index"   // I32, the buckets, each once
	tensorIDF         = "hash.idf"     // F32
	tensorCharsIndex  = "chars.index"  // I32, the same of character n-grams
	tensorCharsIDF    = "chars.idf"    // F32
	tensorGateIndex   = "gate.index"   // I32, the buckets of prompt words
	tensorGateIDF     = "gate.idf"     // F32
	tensorExpectWords = "expect.words" // F32, gate buckets × expected components
	tensorExpectMean  = "expect.mean"  // F32, one a component
	tensorExpectScale = "expect.scale" // F32
)

// The tensors of a member follow its number and a dot. Those of a linear head
// have a value for each column of the space: the dense features; the known
// buckets of n-grams, each of the first "common" followed by that times the
// expected components; those of character n-grams; for each bucket of a prompt's
// words the gated style features; for each dense feature the components.
const (
	memberWeight   = "weight"   // F32
	memberVariance = "variance" // F32, of the weight's posterior; may be missing
	memberIn       = "in"       // F32, inputs × hidden units
	memberWord     = "word"     // F32, n-grams × hidden units
	memberBias     = "bias"     // F32, by hidden unit
	memberOut      = "out"      // F32, by hidden unit
)

// memberInfo is what the metadata says of a member.
type memberInfo struct {
	Name   string  `json:"name"`
	Kind   string  `json:"kind"`
	Offset float64 `json:"offset"`
	Scale  float64 `json:"scale"`
	Prior  float64 `json:"prior_variance,omitempty"`
	Hidden int     `json:"hidden,omitempty"`
}

func (m *Model) memberInfos() []memberInfo {
	var out []memberInfo
	for _, k := range m.members {
		i := memberInfo{Name: k.name, Offset: k.offset, Scale: k.scale}
		switch h := k.head.(type) {
		case *linear:
			i.Kind, i.Prior = HeadLinear, h.prior
		case *network:
			i.Kind, i.Hidden = HeadMLP, h.hidden
		}
		out = append(out, i)
	}
	return out
}

// tensors gives the model's tensors by name.
func (m *Model) tensors() map[string]tensor {
	t := map[string]tensor{}
	s := m.space
	if s.dense() > 0 {
		t[tensorDenseMean], t[tensorDenseScale] = tensor{f: s.mean}, tensor{f: s.scale}
	}
	if s.asked() > 0 {
		t[tensorAskedMean], t[tensorAskedScale] = tensor{f: s.askedMean}, tensor{f: s.askedScale}
	}
	if v := s.words; v != nil {
		t[tensorIndex], t[tensorIDF] = tensor{i: signed(v.index)}, tensor{f: v.idf}
	}
	if v := s.chars; v != nil {
		t[tensorCharsIndex], t[tensorCharsIDF] = tensor{i: signed(v.index)}, tensor{f: v.idf}
	}
	if v := s.gate; v != nil {
		t[tensorGateIndex], t[tensorGateIDF] = tensor{i: signed(v.index)}, tensor{f: v.idf}
		e := s.expect
		t[tensorExpectWords] = tensor{f: e.weight, width: numExpected}
		t[tensorExpectMean], t[tensorExpectScale] = tensor{f: e.mean[:]}, tensor{f: e.scale[:]}
	}
	for k, mem := range m.members {
		for name, v := range mem.head.tensors() {
			t[memberTensor(k, name)] = v
		}
	}
	return t
}

func memberTensor(k int, name string) string { return strconv.Itoa(k) + "." + name }

// signed gives buckets as the type that every reader of the format knows; they
// are below 2^24.
func signed(index []uint32) []int32 {
	out := make([]int32, len(index))
	for i, b := range index {
		out[i] = int32(b)
	}
	return out
}

// spec reads which features the model has.
func (r *metaReader) spec() spec {
	s := spec{orders: int(r.integer("ngrams", 0, 8)), dim: int(r.integer("dim", 0, maxDim))}
	if r.meta["sources"] != "" {
		r.json("sources", &s.sources)
		r.equal("source_norm", formatFloat(sourceNorm))
	}
	for _, src := range s.sources {
		if src.Prompt < 0 || src.Prompt > maxSource || src.Reply < 1 || src.Reply > maxSource {
			r.fail("sources", fmt.Errorf("%s gives %d and %d numbers", src.Name, src.Prompt, src.Reply))
			s.sources = nil
			return s
		}
	}
	for g := range strings.SplitSeq(r.meta["features"], ",") {
		switch {
		case g == FeatureHash:
			s.hash = true
		case g == FeatureStyle:
			s.style = true
		case g == FeatureChars:
			s.chars = true
		case !s.named(g):
			r.fail("features", fmt.Errorf("unknown group %q", g))
		}
	}
	hashed := s.hash || s.chars
	switch {
	case s.String() != r.meta["features"]:
		r.fail("features", fmt.Errorf("%q is not in order", r.meta["features"]))
	case hashed && (s.dim < minDim || s.dim&(s.dim-1) != 0):
		r.fail("dim", fmt.Errorf("%d is no power of two of at least %d", s.dim, minDim))
	case s.hash != (s.orders > 0) || hashed != (s.dim > 0):
		r.fail("ngrams", fmt.Errorf("%d, dim %d with features %s", s.orders, s.dim, s))
	}
	return s
}

// maxSource bounds the numbers that a source gives.
const maxSource = 1 << 16

// space reads the settings of the features, and checks those that this program
// has only one value for.
func (r *metaReader) space(s spec) *space {
	out := &space{spec: s}
	if s.hash {
		out.words = &vocab{rare: float32(r.positive("rare_idf"))}
	}
	if s.chars {
		out.chars = &vocab{rare: float32(r.positive("chars_rare_idf"))}
	}
	if s.style {
		r.equal("style_names", strings.Join(styleNames, ","))
		r.equal("style_weight", formatFloat(styleWeight))
		r.equal("style_clip", formatFloat(styleClip))
	}
	if s.gated() {
		out.gate = &vocab{}
		out.expect = &expectation{words: out.gate}
		out.common = int(r.integer("common", 0, maxDim))
		r.equal("expect_clip", formatFloat(expectClip))
		r.equal("gated_names", strings.Join(gated, ","))
		r.equal("gate_weight", formatFloat(gateWeight))
	}
	return out
}

// taker takes tensors out of those of a file and keeps the first error.
type taker struct {
	tensors map[string]tensor
	err     error
}

const lowest = -math.MaxFloat32

// floats takes a tensor of so many rows of a width, 0 where there is one
// dimension, of finite numbers from least on.
func (t *taker) floats(name string, rows, width int, least float32) []float32 {
	v, ok := t.take(name)
	if !ok {
		return nil
	}
	if size := rows * max(1, width); v.i != nil || len(v.f) != size || v.width != width {
		t.fail(fmt.Errorf("tensor %q: %d values of %s in rows of %d, need %d of F32 in rows of %d",
			name, v.len(), v.dtype(), max(1, v.width), size, max(1, width)))
		return nil
	}
	for i, x := range v.f {
		// Written so that NaN fails; the bounds leave out the infinities.
		if !(x >= least && x <= math.MaxFloat32) {
			t.fail(fmt.Errorf("tensor %q: value %d is %v, need finite numbers from %v on", name, i, x, least))
			return nil
		}
	}
	return v.f
}

func (t *taker) take(name string) (tensor, bool) {
	v, ok := t.tensors[name]
	if !ok {
		t.fail(fmt.Errorf("tensor %q is missing", name))
	}
	delete(t.tensors, name)
	return v, ok && t.err == nil
}

func (t *taker) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// vocab takes the buckets and their frequencies.
func (t *taker) vocab(v *vocab, index, idf string, dim int) {
	i, ok := t.take(index)
	if !ok {
		return
	}
	if i.width != 0 || i.f != nil {
		t.fail(fmt.Errorf("tensor %q: need one row of I32", index))
		return
	}
	v.idf = t.floats(idf, len(i.i), 0, 0)
	if t.err == nil {
		t.fail(v.take(index, i.i, dim))
	}
}

// take takes the tensors of the space, which has its settings.
func (s *space) take(tensors map[string]tensor) error {
	t := &taker{tensors: tensors}
	if n := s.spec.dense(); n > 0 {
		s.mean, s.scale = t.floats(tensorDenseMean, n, 0, lowest), t.floats(tensorDenseScale, n, 0, 0)
	}
	if n := s.asked(); n > 0 {
		s.askedMean, s.askedScale = t.floats(tensorAskedMean, n, 0, lowest), t.floats(tensorAskedScale, n, 0, 0)
	}
	if s.words != nil {
		t.vocab(s.words, tensorIndex, tensorIDF, s.dim)
		if s.common > len(s.words.index) {
			t.fail(fmt.Errorf("metadata common: %d, there are %d buckets", s.common, len(s.words.index)))
		}
	}
	if s.chars != nil {
		t.vocab(s.chars, tensorCharsIndex, tensorCharsIDF, s.dim)
	}
	if s.gate != nil {
		t.vocab(s.gate, tensorGateIndex, tensorGateIDF, s.dim)
		s.expect.weight = t.floats(tensorExpectWords, len(s.gate.index), numExpected, lowest)
		copy(s.expect.mean[:], t.floats(tensorExpectMean, numExpected, 0, lowest))
		copy(s.expect.scale[:], t.floats(tensorExpectScale, numExpected, 0, 0))
	}
	return t.err
}

// takeMembers takes the tensors of the members and checks how they are blended.
func (m *Model) takeMembers(infos []memberInfo, tensors map[string]tensor) error {
	t := &taker{tensors: tensors}
	n := m.space.cols()
	for k, i := range infos {
		name := func(s string) string { return memberTensor(k, s) }
		mem := member{name: i.Name, offset: i.Offset, scale: i.Scale}
		switch {
		case i.Kind == HeadLinear && i.Prior > 0:
			l := &linear{weight: t.floats(name(memberWeight), n, 0, lowest), prior: i.Prior}
			if _, ok := tensors[name(memberVariance)]; ok {
				l.variance = t.floats(name(memberVariance), n, 0, 0)
			}
			mem.head = l
		case i.Kind == HeadMLP && i.Hidden > 0 && i.Hidden <= maxSource:
			mem.head = &network{
				hidden: i.Hidden,
				in:     t.floats(name(memberIn), m.space.numInputs(), i.Hidden, lowest),
				word:   t.floats(name(memberWord), m.space.netWords(), i.Hidden, lowest),
				bias:   t.floats(name(memberBias), i.Hidden, 0, lowest),
				out:    t.floats(name(memberOut), i.Hidden, 0, lowest),
			}
		default:
			return fmt.Errorf("metadata members: member %d of kind %q with prior variance %v and %d hidden units", k, i.Kind, i.Prior, i.Hidden)
		}
		if !(i.Scale > 0) {
			return fmt.Errorf("metadata members: member %d has the scale %v", k, i.Scale)
		}
		m.members = append(m.members, mem)
	}
	if t.err != nil {
		return t.err
	}
	return m.blend.check(len(m.members))
}

// check tells why the blend is none of n members.
func (b *blend) check(n int) error {
	coef, gate := 0, 0
	switch b.Kind {
	case blendOne:
		if n != 1 {
			return fmt.Errorf("metadata blend: %d members, need one", n)
		}
	case blendMean:
	case blendSum:
		coef = n
	case blendGate:
		coef, gate = 1, n
	default:
		return fmt.Errorf("metadata blend: unknown kind %q", b.Kind)
	}
	switch {
	case n == 0:
		return errors.New("metadata members: there are none")
	case len(b.Coef) != coef || len(b.Gate) != gate:
		return fmt.Errorf("metadata blend: %d coefficients and %d gates for %d members", len(b.Coef), len(b.Gate), n)
	}
	for _, g := range b.Gate {
		if len(g) != stride {
			return fmt.Errorf("metadata blend: a gate of %d numbers, need %d", len(g), stride)
		}
	}
	for _, v := range slices.Concat(append([][]float64{b.Coef}, b.Gate...)...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("metadata blend: %v is not finite", v)
		}
	}
	return nil
}

// take takes the buckets of the tensor with the given name.
func (v *vocab) take(name string, buckets []int32, dim int) error {
	v.index = make([]uint32, len(buckets))
	for i, b := range buckets {
		if b < 0 || int(b) >= dim {
			return fmt.Errorf("tensor %q: value %d is %d, need numbers from 0 to %d", name, i, b, dim-1)
		}
		v.index[i] = uint32(b)
	}
	if again := v.lookup(dim); again >= 0 {
		return fmt.Errorf("tensor %q: value %d is %d, which stands there before", name, again, buckets[again])
	}
	return nil
}
