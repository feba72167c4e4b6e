package rm

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// SourceInfo is what a model remembers of a source of features from outside.
type SourceInfo struct {
	Name, ID      string
	Prompt, Reply int // how many numbers it gives of each
	Columns       []string
}

// SourceInfos gives the sources in the order of their numbers.
func (m *Model) SourceInfos() []SourceInfo {
	var out []SourceInfo
	for _, s := range m.space.sources {
		out = append(out, SourceInfo{Name: s.Name, ID: s.ID, Prompt: s.Prompt, Reply: s.Reply, Columns: s.Columns})
	}
	return out
}

// Affine is a model that is a function of the dense features x alone:
//
//	score = Bias + Σⱼ Weightⱼ·clip((xⱼ − Meanⱼ)·Scaleⱼ, ±Clip)
type Affine struct {
	Names               []string // of the features, in their order
	Mean, Scale, Weight []float32
	Bias, Clip          float64
}

// Affine gives the model in that form; the error says why it has none.
func (m *Model) Affine() (*Affine, error) {
	if m.space.spec.hash || m.space.spec.chars {
		return nil, fmt.Errorf("its features %s are hashed n-grams of a text, which are no tensor of a fixed size", strings.Join(m.space.own(), ","))
	}
	n := m.space.dense()
	a := &Affine{Mean: m.space.mean, Scale: m.space.scale, Weight: make([]float32, n), Clip: styleClip}
	if m.space.style {
		a.Names = append(a.Names, styleNames...)
	}
	for _, s := range m.space.sources {
		for j := range s.Reply {
			a.Names = append(a.Names, s.Name+"["+strconv.Itoa(j)+"]")
		}
	}
	if m.blend.Kind == blendGate {
		return nil, fmt.Errorf("its head %s mixes members by the prompt", m.Metadata.Head)
	}
	shares := make([]float64, len(m.members))
	m.blend.shares(len(m.members), [numExpected]float64{}, shares)
	w := make([]float64, n)
	for k, mem := range m.members {
		l, ok := mem.head.(*linear)
		if !ok {
			return nil, fmt.Errorf("its part %s is a network, not a linear head", mem.name)
		}
		c := shares[k] * mem.scale / m.Metadata.Temperature
		a.Bias -= c * mem.offset
		for j := range w {
			w[j] += c * float64(l.weight[j]) * m.space.size(j)
		}
	}
	for j, v := range w {
		a.Weight[j] = float32(v)
	}
	return a, nil
}

// Dense gives the dense features of items, as they are before they are
// standardised: those of style, then the numbers that the sources give of the
// reply, NaN for one that is not known.
func (m *Model) Dense(ctx context.Context, items []Item) ([][]float32, error) {
	reply, prompt, err := m.outside(ctx, items)
	if err != nil {
		return nil, fmt.Errorf("features: %w", err)
	}
	out := make([][]float32, len(items))
	for i, it := range items {
		s := m.acquire(it.Prompt, prompt[i])
		s.read(it.Reply, reply[i])
		out[i] = append([]float32(nil), s.dense...)
		m.scratch.Put(s)
	}
	return out, nil
}
