package label_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cai/judge"
	"cai/label"
	"cai/llm"
	"cai/llm/fakeollama"
)

// served is a fake Ollama that can be switched off and on at one address.
type served struct {
	*fakeollama.Server
	web *httptest.Server
	off atomic.Bool
}

func serve(t *testing.T, o fakeollama.Options) *served {
	s := &served{Server: fakeollama.New(o)}
	s.web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.off.Load() {
			panic(http.ErrAbortHandler)
		}
		s.ServeHTTP(w, r)
	}))
	s.web.Config.ConnState = s.ConnState
	s.web.Start()
	t.Cleanup(s.web.Close)
	return s
}

// overHosts makes a runner over fake servers, and the client behind it.
func overHosts(t *testing.T, m *memory, c llm.Config, servers ...*served) *label.Runner {
	for _, s := range servers {
		c.Hosts = append(c.Hosts, s.web.URL)
	}
	c.Model = "judge:1b"
	client, err := llm.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	id, err := client.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := runner(m, nil)
	r.Patience = 10 * time.Second
	for _, h := range client.Hosts() {
		h.Expect(id.Digest)
		j, err := judge.New(h, id, judge.Settings{Mode: judge.ModeToken})
		if err != nil {
			t.Fatal(err)
		}
		r.Hosts = append(r.Hosts, label.Host{Name: h.Host(), Judge: j, Check: h.Check, Forget: h.Forget})
	}
	return r
}

// kinds counts failures by kind.
func kinds(m *memory) map[string]int {
	out := map[string]int{}
	for _, f := range m.failures {
		out[f.Kind]++
	}
	return out
}

// atMostTwice spares a question that a fault has met twice: three times in a
// row is a failure that is rightly kept, and with several groups in flight
// which question a numbered call belongs to is a matter of chance.
func atMostTwice(f func(fakeollama.Request) fakeollama.Fault) func(fakeollama.Request) fakeollama.Fault {
	var mu sync.Mutex
	met := map[string]int{}
	return func(r fakeollama.Request) fakeollama.Fault {
		fault := f(r)
		mu.Lock()
		defer mu.Unlock()
		if fault == fakeollama.FaultNone || met[r.Prompt()] == 2 {
			return fakeollama.FaultNone
		}
		met[r.Prompt()]++
		return fault
	}
}

// Whatever goes wrong with one call in seven, every question ends as a judgment
// or as a failure with a reason.
func TestEachFaultLeavesNothingOpen(t *testing.T) {
	for _, tt := range []struct {
		fault fakeollama.Fault
		kind  string // of the failures; "" where there are none
	}{
		{fakeollama.FaultRunner, ""},
		{fakeollama.FaultBroken, ""}, // a 500 without a word of hope is asked again all the same
		{fakeollama.FaultBusy, ""},
		{fakeollama.FaultReset, ""},
		{fakeollama.FaultDrop, ""},
		{fakeollama.FaultCut, ""},
		{fakeollama.FaultMidError, ""},
		{fakeollama.FaultMalformed, ""},
		{fakeollama.FaultWrongModel, ""},
		{fakeollama.FaultSlow, ""},
		{fakeollama.FaultEmpty, "empty_reply"},
		{fakeollama.FaultNoLogprobs, "no_logprobs"},
		{fakeollama.FaultStall, "timeout"}, // three times on one question, as may happen
		{fakeollama.FaultSilent, "timeout"},
	} {
		t.Run(string(tt.fault), func(t *testing.T) {
			t.Parallel()
			s := serve(t, fakeollama.Options{Fault: atMostTwice(fakeollama.Every(tt.fault, 7)), Slow: time.Millisecond, Models: []fakeollama.Model{{Name: "judge:1b"}}})
			m := newMemory(15)
			r := overHosts(t, m, llm.Config{First: 200 * time.Millisecond, Stall: 200 * time.Millisecond}, s)
			count, err := r.Run(t.Context(), nil)
			if err != nil || count.Judgments+count.Failed != 60 || len(m.judgments)+len(m.failures) != 60 || m.doubled != 0 {
				t.Fatalf("%+v, %v: %d judgments and %d failures of 60 questions, %d doubled", count, err, len(m.judgments), len(m.failures), m.doubled)
			}
			for kind := range kinds(m) {
				if kind != tt.kind {
					t.Errorf("failures %v, want only %q", kinds(m), tt.kind)
				}
			}
			if tt.kind != "" && tt.kind != "timeout" && len(m.failures) == 0 {
				t.Error("no failure was kept")
			}
		})
	}
}

// One call in ten fails with a 5xx, one in twenty with half a line of JSON, one
// in fifty with nothing. What failed is asked again on request, and only that.
func TestAMixOfFaults(t *testing.T) {
	mix := map[fakeollama.Fault]float64{
		fakeollama.FaultRunner: 0.05, fakeollama.FaultBroken: 0.05, fakeollama.FaultMalformed: 0.05, fakeollama.FaultEmpty: 0.02,
	}
	s := serve(t, fakeollama.Options{Fault: atMostTwice(fakeollama.Mix(mix, 3))})
	m := newMemory(60)
	r := overHosts(t, m, llm.Config{}, s)
	count, err := r.Run(t.Context(), nil)
	if err != nil || len(m.judgments)+len(m.failures) != 240 || m.doubled != 0 || int(count.Judgments) != len(m.judgments) {
		t.Fatalf("%+v, %v: %d judgments, %d failures", count, err, len(m.judgments), len(m.failures))
	}
	if got := kinds(m); got["empty_reply"] == 0 || got["empty_reply"] != len(m.failures) {
		t.Errorf("failures %v", got)
	}
	failed := int64(len(m.failures))
	s.SetFault(nil)
	s.Reset()
	r.Job.RetryFailed = true
	count, err = r.Run(t.Context(), nil)
	if err != nil || count.Judgments != failed || int64(s.Calls()) != failed || len(m.failures) != 0 {
		t.Errorf("retried: %+v, %v: %d calls for %d failures", count, err, s.Calls(), failed)
	}
}

// While everything fails the host is left alone, no question is marked, and the
// job goes on when the server is back.
func TestAnOutageFailsNothing(t *testing.T) {
	for _, f := range []fakeollama.Fault{fakeollama.FaultBroken, fakeollama.FaultBusy, fakeollama.FaultReset, fakeollama.FaultMalformed} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			s := serve(t, fakeollama.Options{Fault: fakeollama.During(f, 20, 25)})
			m := newMemory(20)
			r := overHosts(t, m, llm.Config{Patience: time.Millisecond}, s)
			var events []label.Event
			r.OnEvent = func(e label.Event) {
				if e.Kind != label.HostGroups {
					events = append(events, e)
				}
			}
			count, err := r.Run(t.Context(), nil)
			if err != nil || count.Judgments != 80 || len(m.failures) != 0 || m.doubled != 0 {
				t.Fatalf("%+v, %v, failures %v", count, err, kinds(m))
			}
			if len(events) < 2 || events[0].Kind != label.HostAway || events[0].Err == nil || events[len(events)-1].Kind != label.HostBack {
				t.Errorf("events %+v", events)
			}
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	s := serve(t, fakeollama.Options{Fault: fakeollama.During(fakeollama.FaultBroken, 20, 0)})
	m := newMemory(20)
	r := overHosts(t, m, llm.Config{}, s)
	r.Patience = 300 * time.Millisecond
	count, err := r.Run(t.Context(), nil)
	if llm.KindOf(err) != llm.KindServer || len(m.failures) != 0 || len(m.judgments) != int(count.Judgments) || count.Judgments == 0 {
		t.Fatalf("%+v, %v, failures %v", count, err, kinds(m))
	}
	if !strings.Contains(err.Error(), "300ms") {
		t.Errorf("%v: does not say for how long", err)
	}
	// Nor is anything marked where no call ever went well.
	s = serve(t, fakeollama.Options{Fault: fakeollama.Always(fakeollama.FaultBroken)})
	m = newMemory(20)
	r = overHosts(t, m, llm.Config{}, s)
	r.Patience = time.Second
	if count, err = r.Run(t.Context(), nil); err == nil || len(m.failures) != 0 || count.Judgments != 0 {
		t.Errorf("%+v, %v", count, err)
	}
}

// A question that fails again and again on a server that is well is a failure.
func TestAPoisonedQuestionIsAFailure(t *testing.T) {
	s := serve(t, fakeollama.Options{})
	s.SetFault(func(r fakeollama.Request) fakeollama.Fault {
		if strings.Contains(r.Prompt(), "question 3") {
			return fakeollama.FaultBroken
		}
		return fakeollama.FaultNone
	})
	m := newMemory(8)
	count, err := overHosts(t, m, llm.Config{}, s).Run(t.Context(), nil)
	if err != nil || count.Judgments != 28 || count.Failed != 4 || kinds(m)["server_error"] != 4 {
		t.Fatalf("%+v, %v, failures %v", count, err, kinds(m))
	}
}

// A server that comes back with other weights is another judge.
func TestOtherWeightsEndTheJob(t *testing.T) {
	s := serve(t, fakeollama.Options{Fault: fakeollama.During(fakeollama.FaultRestart, 30, 30), Models: []fakeollama.Model{{Name: "judge:1b"}}})
	m := newMemory(50)
	count, err := overHosts(t, m, llm.Config{}, s).Run(t.Context(), nil)
	if llm.KindOf(err) != llm.KindModelChanged || llm.HintOf(err) == "" || len(m.failures) != 0 {
		t.Fatalf("%+v, %v, failures %v", count, err, kinds(m))
	}
	if count.Judgments > 32 { // others were in flight
		t.Errorf("%d judgments, though the weights changed at the 30th call", count.Judgments)
	}
}

// The server was away only for a moment between two calls: nothing failed, and
// still no answer of the new weights is kept.
func TestOtherWeightsWithoutAnyFailureEndTheJob(t *testing.T) {
	s := serve(t, fakeollama.Options{})
	m := newMemory(50)
	r := overHosts(t, m, llm.Config{}, s)
	r.Workers = 1
	inner := r.Hosts[0].Judge
	var n atomic.Int64
	r.Hosts[0].Judge = comparer(func(ctx context.Context, q judge.Question) (judge.Answer, error) {
		if n.Add(1) == 30 {
			s.Restart("judge:1b")
			s.web.CloseClientConnections()
		}
		return inner.Compare(ctx, q)
	})
	count, err := r.Run(t.Context(), nil)
	if llm.KindOf(err) != llm.KindModelChanged || count.Judgments != 29 {
		t.Fatalf("%+v, %v", count, err)
	}
}

type comparer func(context.Context, judge.Question) (judge.Answer, error)

func (c comparer) Compare(ctx context.Context, q judge.Question) (judge.Answer, error) {
	return c(ctx, q)
}

// A host dies in the midst of its calls: others take what it had, and when it
// is back it gets its share again.
func TestAHostIsLeftAndJoinedAgain(t *testing.T) {
	a := serve(t, fakeollama.Options{Latency: 2 * time.Millisecond})
	b := serve(t, fakeollama.Options{Latency: time.Millisecond})
	m := newMemory(400)
	r := overHosts(t, m, llm.Config{}, a, b)
	r.Workers = 1
	var mu sync.Mutex
	var kinds []label.EventKind
	backAt := -1
	r.OnEvent = func(e label.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Host == r.Hosts[1].Name {
			kinds = append(kinds, e.Kind)
			switch e.Kind {
			case label.HostAway:
				b.off.Store(false)
			case label.HostBack:
				backAt = b.Calls()
			}
		}
	}
	r.OnCount = func(c label.Count) {
		if c.Judgments == 60 {
			b.off.Store(true)
		}
	}
	count, err := r.Run(t.Context(), nil)
	if err != nil || count.Judgments != 1600 || m.doubled != 0 || len(m.failures) != 0 {
		t.Fatalf("%+v, %v, %d doubled, %d failures", count, err, m.doubled, len(m.failures))
	}
	if !slices.Equal(kinds, []label.EventKind{label.HostAway, label.HostBack}) {
		t.Errorf("host b: %v", kinds)
	}
	if b.Calls() <= backAt {
		t.Errorf("host b was asked %d times, %d of them before it was back", b.Calls(), backAt)
	}
}

// A host that comes back with other weights gets nothing more, and the others
// finish.
func TestAHostWithOtherWeightsIsNotJoinedAgain(t *testing.T) {
	a := serve(t, fakeollama.Options{Latency: time.Millisecond})
	b := serve(t, fakeollama.Options{Latency: time.Millisecond, Fault: fakeollama.During(fakeollama.FaultRestart, 20, 20)})
	m := newMemory(100)
	r := overHosts(t, m, llm.Config{}, a, b)
	var left []label.Event
	r.OnEvent = func(e label.Event) {
		if e.Kind == label.HostLeft {
			left = append(left, e)
		}
	}
	count, err := r.Run(t.Context(), nil)
	if err != nil || count.Judgments != 400 || m.doubled != 0 || len(m.failures) != 0 {
		t.Fatalf("%+v, %v", count, err)
	}
	if len(left) != 1 || left[0].Host != r.Hosts[1].Name || llm.KindOf(left[0].Err) != llm.KindModelChanged {
		t.Errorf("%+v", left)
	}
}

// The faster host gets more: each takes the next group when it is free.
func TestTheFasterHostGetsMore(t *testing.T) {
	a := serve(t, fakeollama.Options{Latency: 2 * time.Millisecond})
	b := serve(t, fakeollama.Options{Latency: 20 * time.Millisecond})
	m := newMemory(100)
	r := overHosts(t, m, llm.Config{}, a, b)
	r.Workers = 1
	if count, err := r.Run(t.Context(), nil); err != nil || count.Judgments != 400 {
		t.Fatalf("%+v, %v", count, err)
	}
	if a.Calls() <= 2*b.Calls() {
		t.Errorf("the host that is ten times faster made %d of %d calls", a.Calls(), a.Calls()+b.Calls())
	}
}

// The questions of a pair stay on one host, in their order.
func TestAGroupStaysTogether(t *testing.T) {
	a, b := serve(t, fakeollama.Options{}), serve(t, fakeollama.Options{})
	m := newMemory(40)
	r := overHosts(t, m, llm.Config{}, a, b)
	r.Workers = 1
	if _, err := r.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*served{a, b} {
		var before string
		seen := map[string]bool{}
		for _, q := range s.Requests() {
			pair, _, _ := strings.Cut(q.Prompt(), "\n")
			if pair != before && seen[pair] {
				t.Fatalf("%q was left and taken up again", pair)
			}
			seen[pair] = true
			before = pair
		}
	}
}

// Stopped while no host is there, the run ends at once.
func TestStopDuringAnOutage(t *testing.T) {
	s := serve(t, fakeollama.Options{Fault: fakeollama.During(fakeollama.FaultBroken, 10, 0)})
	m := newMemory(20)
	r := overHosts(t, m, llm.Config{}, s)
	r.Patience = time.Hour
	stop := make(chan struct{})
	r.OnEvent = func(e label.Event) {
		if e.Kind == label.HostAway {
			close(stop)
		}
	}
	count, err := r.Run(t.Context(), stop)
	if !errors.Is(err, label.ErrStopped) || int(count.Judgments) != len(m.judgments) || len(m.failures) != 0 {
		t.Fatalf("%+v, %v", count, err)
	}
}
