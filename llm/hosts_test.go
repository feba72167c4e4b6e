package llm_test

import (
	"testing"
	"time"

	"cai/llm"
	"cai/llm/fakeollama"
)

// Once a server's ways are known a call that hangs is given up long before the
// first call would have been, and asked again.
func TestDeadlinesLearn(t *testing.T) {
	for _, f := range []fakeollama.Fault{fakeollama.FaultSilent, fakeollama.FaultStall} {
		t.Run(string(f), func(t *testing.T) {
			timeless(t, func(t *testing.T, v1 bool) {
				c, fake := startTimeless(t, fakeollama.Options{Fault: fakeollama.During(f, 41, 41)},
					llm.Config{First: time.Hour, Stall: time.Hour, Least: 100 * time.Millisecond}, v1)
				for range 41 {
					if _, err := c.Chat(t.Context(), ask("Tell me about gardens.")); err != nil {
						t.Fatal(err)
					}
				}
				if fake.Calls() != 42 {
					t.Errorf("%d calls, want 42: one was to be asked again", fake.Calls())
				}
			})
		})
	}
}

// A client of one address says so at once when it is away, and a client of two
// turns to the other.
func TestHostsOfAClient(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{}, llm.Config{}, false)
	if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
		t.Fatal(err)
	}
	h := c.Hosts()[0]
	h.Expect("other weights")
	if err := h.Check(t.Context()); llm.KindOf(err) != llm.KindModelChanged || !llm.Fatal(err) {
		t.Errorf("check: %v", err)
	}
	if _, err := h.Chat(t.Context(), ask("hi")); llm.KindOf(err) != llm.KindModelChanged {
		t.Errorf("chat: %v", err)
	}
	id, err := h.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.Expect(id.Digest)
	calls := fake.Calls()
	if _, err := h.Chat(t.Context(), ask("hi")); err != nil || fake.Calls() != calls+1 {
		t.Errorf("%v, %d calls", err, fake.Calls()-calls)
	}
	gone, err := llm.Open(llm.Config{Model: "judge:1b", Hosts: []string{"http://127.0.0.1:1", c.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Hosts()[0].Check(t.Context()); llm.KindOf(err) != llm.KindServerAbsent {
		t.Errorf("check of a server that is not there: %v", err)
	}
	if _, err := gone.Chat(t.Context(), ask("hi")); err != nil || gone.Host() != c.Host() {
		t.Errorf("the other host was not asked: %v", err)
	}
}
