package monitor_test

import (
	"encoding/binary"
	"errors"
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
	references, windows := 50, 24
	few := testing.Short() // as under the race detector, which makes this 16 times as slow
	if few {
		references = 4
	}
	for i, c := range []struct {
		prompts, each int     // of the reference
		window, of    int     // replies of a window, and to each of its prompts
		within, rate  float64 // see policy
	}{
		{448, 2, 256, 8, 0.5, 0.05},
		{200, 2, 128, 1, 0.5, 0.05},
		{100, 8, 128, 2, 0.7, 0.1},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			rings, by := 0.0, map[string]int{}
			each := make([]float64, references)
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
						each[k] += 1 / float64(windows)
					}
					for _, s := range w.Alarms() {
						by[s.Name]++
					}
				}
			}
			n := float64(references * windows)
			got := rings / n
			// Windows that share a reference ring together, so the error is that of the
			// mean over references, and no less than the binomial one.
			v := c.rate * (1 - c.rate) / n
			between := 0.0
			for _, x := range each {
				between += (x - got) * (x - got) / float64(references*(references-1))
			}
			se := math.Sqrt(max(v, between))
			t.Logf("%.0f of %.0f windows ring: %.4f ± %.4f, asked for %v; %v", rings, n, got, se, c.rate, by)
			if math.Abs(got-c.rate) > 3*se {
				t.Errorf("false alarms in %.4f ± %.4f of windows, asked for %v", got, se, c.rate)
			}
			for _, name := range monitor.Names() {
				if by[name] == 0 && c.of <= c.each && !few {
					t.Errorf("%s never rings by chance: its threshold is out of reach", name)
				}
			}
		})
	}
}

// A policy that picks the reply with the best score of n: length raises the score
// without end, and what replies are worth only for a while. The alarm has to ring
// before the worth falls, in nearly all runs.
func TestAlarmRingsBeforeTheGoldFalls(t *testing.T) {
	type reply struct {
		row  []float32
		gold float64
	}
	draw := func(r *rand.Rand, prompt []float64) reply {
		length, worth := r.NormFloat64(), r.NormFloat64()
		row := []float32{
			float32(prompt[0] + 0.5*worth + 0.9*length + 0.3*r.NormFloat64()), float32(1 + 0.1*math.Abs(length) + 0.1*r.NormFloat64()),
			float32(prompt[1] + length), float32(r.NormFloat64()), float32(max(0, r.NormFloat64()-2)), float32(r.NormFloat64() - 0.3*length),
		}
		return reply{row, worth + 0.2*length - 0.5*length*length}
	}
	const window, each = 256, 4
	steps := []int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}
	// The best of each number of one and the same draws.
	bests := func(r *rand.Rand, prompt []float64) []reply {
		out := make([]reply, 0, len(steps))
		top := draw(r, prompt)
		for n := 1; ; n++ {
			if n == steps[len(out)] {
				if out = append(out, top); len(out) == len(steps) {
					return out
				}
			}
			if other := draw(r, prompt); other.row[0] > top.row[0] {
				top = other
			}
		}
	}
	best := func(r *rand.Rand, prompt []float64, n int) reply {
		top := draw(r, prompt)
		for range n - 1 {
			if other := draw(r, prompt); other.row[0] > top.row[0] {
				top = other
			}
		}
		return top
	}
	newPrompt := func(r *rand.Rand) []float64 { return []float64{0.7 * r.NormFloat64(), 0.7 * r.NormFloat64()} }
	gold := make([]float64, len(steps))
	proxy := make([]float64, len(steps))
	r := rand.New(rand.NewPCG(1, 1))
	const prompts = 1000
	for range prompts {
		for k, b := range bests(r, newPrompt(r)) {
			gold[k] += b.gold / prompts
			proxy[k] += float64(b.row[0]) / prompts
		}
	}
	peak := 0
	for k := range gold {
		if gold[k] > gold[peak] {
			peak = k
		}
	}
	if last := len(steps) - 1; peak == 0 || peak == last || proxy[last] <= proxy[peak] || gold[last] > gold[peak]-0.3 {
		t.Fatalf("no over-optimisation: proxy %.2f, gold %.2f", proxy, gold)
	}
	runs := 20
	if testing.Short() {
		runs = 6
	}
	inTime, rings := 0, make([]int, len(steps))
	for run := range runs {
		r := rand.New(rand.NewPCG(uint64(run), 2))
		var hs []dataset.Hash
		var rows [][]float32
		for g := range 300 {
			prompt := newPrompt(r)
			for range 2 {
				hs, rows = append(hs, hashOf(g)), append(rows, draw(r, prompt).row)
			}
		}
		profile, err := rm.NewProfile(rm.ProfileFile, columns, hs, rows)
		if err != nil {
			t.Fatal(err)
		}
		m, err := monitor.New(profile, monitor.Options{Window: window})
		if err != nil {
			t.Fatal(err)
		}
		for k, n := range steps {
			var b *monitor.Batch
			for g := uint64(1); b == nil; g++ {
				prompt := newPrompt(r)
				for range each {
					if full := m.Add(g, best(r, prompt, n).row); full != nil {
						b = full
					}
				}
			}
			if w := m.Test(b); w.Alarm {
				rings[k]++
				if k <= peak {
					inTime++
				}
				if k > 2 && w.Moved[0].Name != rm.ObservedScore && w.Moved[0].Name != "length" {
					t.Errorf("best of %d: %s", n, w.Text())
				}
				break
			}
		}
	}
	t.Logf("best of %v\nproxy %.2f\ngold %.2f, highest at %d; first alarms of %d runs: %v", steps, proxy, gold, steps[peak], runs, rings)
	if inTime < runs-runs/20 {
		t.Errorf("the alarm rings in time in %d of %d runs", inTime, runs)
	}
}

// What monitors are asked for and cannot do is an error.
func TestWhatCannotBeMonitored(t *testing.T) {
	p := &policy{r: rand.New(rand.NewPCG(1, 2)), within: 0.5}
	if _, err := monitor.New(nil, monitor.Options{}); !errors.Is(err, monitor.ErrNoProfile) {
		t.Errorf("no profile: %v", err)
	}
	few := p.profile(t, 29, 2)
	good := p.profile(t, 40, 2)
	for _, c := range []struct {
		profile *rm.Profile
		o       monitor.Options
	}{
		{few, monitor.Options{}},
		{good, monitor.Options{Window: 15}},
		{good, monitor.Options{Window: -1}},
		{good, monitor.Options{FalseAlarm: math.NaN()}},
		{good, monitor.Options{FalseAlarm: 1}},
	} {
		if _, err := monitor.New(c.profile, c.o); err == nil {
			t.Errorf("%d prompts, %+v: no error", c.profile.Prompts, c.o)
		}
	}
	// One prompt alone says nothing of a policy: its window ends, and says so.
	m, err := monitor.New(good, monitor.Options{Window: 16})
	if err != nil {
		t.Fatal(err)
	}
	draw := p.prompt()
	for i := range 1000 {
		if b := m.Add(7, draw()); b != nil {
			if w := m.Test(b); w.Untested == "" || w.Alarm || w.Prompts != 1 || i != 16*16-1 {
				t.Errorf("after %d replies: %+v", i+1, w)
			}
			break
		}
	}
	if b, left := m.Rest(); b != nil || left != 0 {
		t.Errorf("%v, %d left", b, left)
	}
}
