package llm

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A deadline is between its bounds, knows nothing at first, is never shorter
// than what calls of that size took, and does not learn from other sizes.
func TestPace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const least, most = 30 * time.Second, 15 * time.Minute
		size := rapid.IntRange(1, 1<<20).Draw(t, "size")
		var p pace
		if d := p.deadline(size, least, most); d != most {
			t.Fatalf("nothing is known, and the deadline is %s", d)
		}
		longest := time.Duration(0)
		for range rapid.IntRange(paceEnough, 300).Draw(t, "calls") {
			d := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "wait"))
			p.saw(size, d)
			longest = max(longest, d)
			if got := p.deadline(size, least, most); got < least || got > most {
				t.Fatalf("deadline %s", got)
			}
		}
		if got := p.deadline(size, least, most); got > max(least, paceFactor*longest) && got != most {
			t.Fatalf("deadline %s, though no call took more than %s", got, longest)
		}
		if got := p.deadline(16*size, least, most); got != most {
			t.Fatalf("deadline %s for a prompt 16 times as long", got)
		}
		p.forget()
		if got := p.deadline(size, least, most); got != most {
			t.Fatalf("deadline %s after all was forgotten", got)
		}
	})
}
