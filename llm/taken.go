package llm

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// taken is what a server turned out to take of what it is asked for. One refusal
// is enough to learn it, and the user is told once.
type taken struct {
	tell func(string)

	mu      sync.Mutex
	fewer   bool
	most    int             // log-probabilities a token, where fewer
	none    bool            // no log-probabilities at all
	without map[string]bool // parameters that it refuses
	only    map[string]any  // the one value that it takes of a parameter
}

func (t *taken) say(format string, args ...any) {
	if t.tell != nil {
		t.tell(fmt.Sprintf(format, args...))
	}
}

// logprobs gives how many of n log-probabilities a token to ask for; 0 is that of
// the token itself. ok is false for a server that gives none.
func (t *taken) logprobs(n int) (_ int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fewer {
		n = min(n, t.most)
	}
	return n, !t.none
}

// steps are how many log-probabilities a token are tried where a refusal names no
// number.
var steps = []int{10, 5, 1, 0}

// logprobsRefused learns from a refusal how many log-probabilities a token the
// server gives, where asked were too many, and tells whether the refusal was
// about that.
func (t *taken) logprobsRefused(said string, asked int) bool {
	said = strings.ToLower(said)
	if !strings.Contains(said, "logprob") && !strings.Contains(said, "log prob") && !strings.Contains(said, "log-prob") {
		return false
	}
	n, none := fewerThan(said, asked)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.none || t.fewer && t.most < asked: // another call has learnt it
	case none:
		t.none = true
	default:
		t.fewer, t.most = true, n
		if n == 0 {
			t.say("the server lists no tokens beside the one of the answer, whose log-probability it gives")
		} else {
			t.say("the server refuses %d log-probabilities a token: %d are asked for", asked, n)
		}
	}
	return true
}

var (
	// wholeNumber is one that is no part of a name, a version or a fraction.
	wholeNumber = regexp.MustCompile(`(?:^|[^\w.-])(\d+)(?:$|[^\w.-]|[.-](?:$|\W))`)
	// unknownTo is a parameter that the server does not have, whatever its value.
	unknownTo = regexp.MustCompile(`unknown|unrecogni[sz]ed|unexpected|extra (?:inputs|fields)|not permitted|not allowed|not support|unsupported|does(?: not|n't) (?:support|provide|offer|return)|disabled|unavailable|not available|not implemented|forbidden`)
)

// fewerThan reads out of a refusal how many log-probabilities to ask for next:
// the largest number that is less than was asked for, or else the next of steps.
func fewerThan(said string, asked int) (n int, none bool) {
	n = -1
	for i := 0; i < len(said); {
		m := wholeNumber.FindStringSubmatchIndex(said[i:])
		if m == nil {
			break
		}
		if v, err := strconv.Atoi(said[i+m[2] : i+m[3]]); err == nil && v < asked {
			n = max(n, v)
		}
		i += m[3]
	}
	if n >= 0 {
		return n, false
	}
	if unknownTo.MatchString(said) {
		if !strings.Contains(said, "top_logprobs") {
			return 0, true
		}
		if !strings.Contains(said, "value") {
			return 0, asked == 0
		}
	}
	for _, s := range steps {
		if s < asked {
			return s, false
		}
	}
	return 0, true
}

// apply takes out of the parameters of a call what the server refuses.
func (t *taken) apply(body map[string]any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range body {
		if v, ok := t.only[p]; ok {
			body[p] = v
		}
		if t.without[p] {
			delete(body, p)
		}
	}
}

// has tells whether a parameter is sent.
func (t *taken) has(parameter string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.without[parameter]
}

// boundNames are the names of the bound of an answer, of which one is sent.
var boundNames = [2]string{"max_tokens", "max_completion_tokens"}

// droppable are parameters without which a question is still the same, or nearly,
// in the order in which a refusal that names several is read.
var droppable = []string{"stream_options", "encoding_format", "response_format", "temperature", "top_p", "seed", "stop", "stream"}

// refused learns from a refusal which of the parameters that were sent the server
// does not take, and tells whether there is something to try again. Those that
// the user set are not left out behind their back.
func (t *taken) refused(said string, sent map[string]any, own map[string]any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.without == nil {
		t.without = map[string]bool{}
	}
	for i, b := range boundNames {
		if other := boundNames[1-i]; sent[b] != nil && names(said, b) && (names(said, other) || unknownTo.MatchString(strings.ToLower(said))) {
			if !t.without[b] && t.without[other] {
				return false // it takes neither
			}
			t.without[b] = true
			return true
		}
	}
	for _, p := range droppable {
		if sent[p] == nil || !names(said, p) {
			continue
		}
		if _, set := own[p]; set && p != "seed" {
			return false
		}
		if v := t.only[p]; v != nil && v != sent[p] {
			return true // another call has learnt it
		}
		if m := onlyValue.FindStringSubmatch(said); m != nil && p == "temperature" && t.only[p] == nil && !t.without[p] {
			v, _ := strconv.ParseFloat(m[1], 64) // digits
			t.only = map[string]any{p: v}
			t.say("the server refuses a temperature other than %s: that is asked for", m[1])
			return true
		}
		if !t.without[p] {
			t.without[p] = true
			if !slices.Contains([]string{"stream_options", "encoding_format", "stream"}, p) { // which nobody misses
				t.say("the server refuses the parameter %s: it is left out", p)
			}
		}
		return true
	}
	return false
}

// onlyValue is the one that a server takes of a parameter.
var onlyValue = regexp.MustCompile(`(?i)\b(?:only|default|must be|has to be|fixed (?:at|to))\b[^.\d]{0,30}(\d+(?:\.\d+)?)`)

// names tells whether a refusal names a parameter.
func names(said, parameter string) bool {
	pattern := `(?i)(?:^|[^a-z_])` + parameter + `(?:$|[^a-z_])`
	if parameter == "stop" || parameter == "stream" { // words of the language
		pattern = `(?i)["'\x60.]` + parameter + `["'\x60:]|param(?:eter)?s?:? ` + parameter + `\b`
	}
	return regexp.MustCompile(pattern).MatchString(said)
}
