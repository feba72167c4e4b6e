package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// A log gets a line after two seconds and then one every half minute, however
// often the job tells how far it is; a terminal's line follows it.
func TestHowOftenProgressIsShown(t *testing.T) {
	for _, tt := range []struct {
		tty  bool
		want []int // seconds of the first lines
		n    int   // lines in 100 seconds, told ten times a second
	}{
		{false, []int{2, 32, 62, 92}, 4},
		{true, []int{2, 2, 2, 2, 2, 3}, 490},
	} {
		var out bytes.Buffer
		now := time.Unix(1_700_000_000, 0)
		start := now
		p := &progress{app: &app{Env: Env{Err: &out}}, what: "label", unit: "judgments", total: 2000, tty: tt.tty, now: func() time.Time { return now }}
		p.begin()
		var at []int
		for i := range 1000 {
			now = start.Add(time.Duration(i) * 100 * time.Millisecond)
			before := out.Len()
			due := p.due()
			p.set(int64(i), "")
			if shown := out.Len() > before; shown != due {
				t.Fatalf("after %s: due %t, shown %t", now.Sub(start), due, shown)
			} else if shown {
				at = append(at, int(now.Sub(start).Seconds()))
			}
		}
		if len(at) != tt.n || !slices.Equal(at[:len(tt.want)], tt.want) {
			t.Errorf("terminal %t: %d lines, at seconds %v; want %d, %v", tt.tty, len(at), at[:min(len(at), 8)], tt.n, tt.want)
		}
		if !tt.tty && !strings.HasPrefix(out.String(), "cai: label: 20/2000 judgments, 10.0/s, 3m18s left\n") {
			t.Errorf("the first line is %q", out.String())
		}
	}
}
