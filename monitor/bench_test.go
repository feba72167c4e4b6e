package monitor_test

import (
	"math/rand/v2"
	"testing"

	"cai/monitor"
)

// BenchmarkAdd is what watching costs a reply; BenchmarkTest what a window does once
// its thresholds are known, and BenchmarkThresholds what these take.
func BenchmarkAdd(b *testing.B) {
	p := &policy{r: rand.New(rand.NewPCG(1, 2)), within: 0.5}
	m, err := monitor.New(p.profile(b, 448, 2), monitor.Options{})
	if err != nil {
		b.Fatal(err)
	}
	row := p.prompt()()
	for i := uint64(1); b.Loop(); i++ {
		m.Add(i, row)
	}
}

func BenchmarkTest(b *testing.B) {
	p := &policy{r: rand.New(rand.NewPCG(1, 2)), within: 0.5}
	m, err := monitor.New(p.profile(b, 448, 2), monitor.Options{})
	if err != nil {
		b.Fatal(err)
	}
	row := p.prompt()
	var w *monitor.Batch
	for g := uint64(1); w == nil; g++ {
		w = m.Add(g, row())
	}
	m.Test(w)
	for b.Loop() {
		m.Test(w)
	}
}

func BenchmarkThresholds(b *testing.B) {
	p := &policy{r: rand.New(rand.NewPCG(1, 2)), within: 0.5}
	profile := p.profile(b, 448, 2)
	row := p.prompt()
	for b.Loop() {
		m, err := monitor.New(profile, monitor.Options{})
		if err != nil {
			b.Fatal(err)
		}
		var w *monitor.Batch
		for g := uint64(1); w == nil; g++ {
			w = m.Add(g, row())
		}
		m.Test(w)
	}
}
