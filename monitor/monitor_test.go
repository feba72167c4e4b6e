package monitor_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"cai/dataset"
	"cai/monitor"
	"cai/rm"
)

var columns = []string{rm.ObservedScore, rm.ObservedStd, "length", "lists", "refusal", "variety"}

// policy draws replies: what a prompt and a reply have in common, with columns that
// go together, one that is skewed and one that is mostly 0.
type policy struct {
	r      *rand.Rand
	within float64 // share of the variance that is between replies to one prompt
	shift  []float64
}

func (p *policy) prompt() (draw func() []float32) {
	a, b := math.Sqrt(1-p.within), math.Sqrt(p.within)
	common := make([]float64, len(columns))
	for j := range common {
		common[j] = p.r.NormFloat64()
	}
	return func() []float32 {
		out := make([]float32, len(columns))
		g := p.r.NormFloat64()
		for j := range out {
			v := a*common[j] + b*(0.6*g+0.8*p.r.NormFloat64())
			switch columns[j] {
			case rm.ObservedStd, "lists":
				v = math.Exp(0.7 * v)
			case "refusal":
				v = max(0, v-2)
			}
			if p.shift != nil {
				v += p.shift[j]
			}
			out[j] = float32(v)
		}
		return out
	}
}

func hashOf(i int) (h dataset.Hash) {
	binary.LittleEndian.PutUint64(h[:], uint64(i)+1)
	return h
}

// profile draws a reference of so many prompts with replies to each.
func (p *policy) profile(t testing.TB, prompts, each int) *rm.Profile {
	t.Helper()
	var hs []dataset.Hash
	var rows [][]float32
	for g := range prompts {
		draw := p.prompt()
		for range each {
			hs, rows = append(hs, hashOf(g)), append(rows, draw())
		}
	}
	out, err := rm.NewProfile(rm.ProfileFile, columns, hs, rows)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// window feeds a window and gives what came of it.
func (p *policy) window(t testing.TB, m *monitor.Monitor, each int) monitor.Window {
	t.Helper()
	for g := 1; ; g++ {
		draw := p.prompt()
		for range each {
			if b := m.Add(uint64(g), draw()); b != nil {
				return m.Test(b)
			}
		}
	}
}

// Windows of replies like those of the reference ring as often as was asked for,
// whatever their replies to one prompt have in common and however many there are.
func TestFalseAlarmsAreAsOftenAsStated(t *testing.T) {
	references, windows := 130, 8
	if testing.Short() {
		references = 30
	}
	for i, c := range []struct {
		prompts, each int     // of the reference
		window, of    int     // replies of a window, and to each of its prompts
		within, rate  float64 // see policy
	}{
		{448, 2, 256, 1, 0.5, 0.05},
		{448, 2, 256, 8, 0.5, 0.05},
		{448, 2, 256, 4, 0.1, 0.05},
		{100, 8, 128, 2, 0.7, 0.05},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			t.Parallel()
			rings, by := 0, map[string]int{}
			perReference := make([]float64, references)
			for k := range references {
				p := &policy{r: rand.New(rand.NewPCG(uint64(k), uint64(i))), within: c.within}
				m, err := monitor.New(p.profile(t, c.prompts, c.each), monitor.Options{Window: c.window, FalseAlarm: c.rate, Seed: int64(k)})
				if err != nil {
					t.Fatal(err)
				}
				for range windows {
					w := p.window(t, m, c.of)
					if w.Alarm {
						rings++
						perReference[k]++
					}
					for _, s := range w.Alarms() {
						by[s.Name]++
					}
				}
			}
			n := float64(references * windows)
			got := float64(rings) / n
			// Windows that share a reference ring together: the error is that of the
			// mean over references, three of which are allowed, and the thresholds' own.
			v := 0.0
			for _, x := range perReference {
				v += (x/float64(windows) - got) * (x/float64(windows) - got)
			}
			se := math.Sqrt(max(v/float64(references-1)/float64(references), c.rate*(1-c.rate)/n))
			t.Logf("%d of %v windows ring: %.4f ± %.4f, asked for %v; %v", rings, n, got, se, c.rate, by)
			if math.Abs(got-c.rate) > 3*se+0.1*c.rate {
				t.Errorf("false alarms in %.4f ± %.4f of windows, asked for %v", got, se, c.rate)
			}
		})
	}
}
