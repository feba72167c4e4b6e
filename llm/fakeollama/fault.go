package fakeollama

import (
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Fault is a way in which a call fails.
type Fault string

// The faults.
const (
	FaultNone       Fault = ""
	FaultBusy       Fault = "busy"        // 503, the queue is full
	FaultDrop       Fault = "drop"        // the connection breaks before the first byte
	FaultCut        Fault = "cut"         // the connection breaks within the answer
	FaultEmpty      Fault = "empty"       // the model ends its turn at once
	FaultThinking   Fault = "thinking"    // thinking uses up the tokens
	FaultNoLogprobs Fault = "no-logprobs" // a server too old to know them
	FaultSilent     Fault = "silent"      // nothing comes until the caller leaves
	FaultStall      Fault = "stall"       // the answer stops half-way until the caller leaves
	FaultRunner     Fault = "runner"      // 500, the runner died and will be started again
	FaultMidError   Fault = "mid-error"   // an error line within the stream
	FaultBroken     Fault = "broken"      // 500 that stays
	FaultMemory     Fault = "memory"      // 500, the model does not fit the memory
	FaultGarbage    Fault = "garbage"     // 200 and something that is not the protocol
	FaultOld        Fault = "old"         // a server that ignores truncate and shift and cuts the prompt
	FaultHalf       Fault = "half"        // the same, and half of the context is what it cuts to
	FaultReset      Fault = "reset"       // the connection is reset before the first byte
	FaultMalformed  Fault = "malformed"   // 200 and a line that is half JSON
	FaultWrongModel Fault = "wrong-model" // another model answers
	FaultSlow       Fault = "slow"        // the first token takes Options.Slow
	FaultRestart    Fault = "restart"     // the server starts again and has other weights
	FaultFewer      Fault = "fewer"       // an embedding less than there were texts
	FaultDimension  Fault = "dimension"   // embeddings of another length
	FaultNaN        Fault = "nan"         // embeddings that are no numbers
	FaultThought    Fault = "thought"     // the answer begins with a thought, marked in its text
	FaultNullLog    Fault = "null-log"    // the second token of each list has null for its log-probability
	FaultOneLog     Fault = "one-log"     // the token that was drawn is listed alone
	FaultSumLog     Fault = "sum-log"     // log-probabilities whose probabilities sum to more than 1
	FaultIDs        Fault = "ids"         // numbers of tokens in place of their texts
	FaultFilter     Fault = "filter"      // a content filter ends the answer
	FaultTool       Fault = "tool"        // the model calls a tool
	FaultPage       Fault = "page"        // 200 and a web page
	FaultProxy      Fault = "proxy"       // 502 and the web page of a proxy
)

// Faults lists the faults by name.
func Faults() []Fault {
	known := map[Fault]bool{
		FaultBusy: true, FaultDrop: true, FaultCut: true, FaultEmpty: true, FaultThinking: true,
		FaultNoLogprobs: true, FaultSilent: true, FaultStall: true, FaultRunner: true, FaultMidError: true,
		FaultBroken: true, FaultMemory: true, FaultGarbage: true, FaultOld: true, FaultHalf: true,
		FaultReset: true, FaultMalformed: true, FaultWrongModel: true, FaultSlow: true, FaultRestart: true,
		FaultFewer: true, FaultDimension: true, FaultNaN: true, FaultThought: true, FaultNullLog: true, FaultOneLog: true,
		FaultSumLog: true, FaultIDs: true, FaultFilter: true, FaultTool: true, FaultPage: true, FaultProxy: true,
	}
	return slices.Sorted(maps.Keys(known))
}

// ParseFault reads a fault's name; "" and "none" are FaultNone.
func ParseFault(s string) (Fault, error) {
	if s == "" || s == "none" {
		return FaultNone, nil
	}
	if f := Fault(s); slices.Contains(Faults(), f) {
		return f, nil
	}
	return FaultNone, fmt.Errorf("fault %q is not known: use one of %v", s, Faults())
}

// page is the web page of a fault, with its status; false for other faults.
func (f Fault) page(w http.ResponseWriter) bool {
	switch f {
	case FaultPage:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html>\n<html><head><title>Sign in &amp; go on</title></head>\n<body>…</body></html>\n")
	case FaultProxy:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>nginx</body></html>\n")
	default:
		return false
	}
	return true
}

// ends gives the reason that a call ends with, if the fault has one of its own.
func (f Fault) ends(reason string) string {
	switch f {
	case FaultFilter:
		return "content_filter"
	case FaultTool:
		return "tool_calls"
	}
	return reason
}

// thinkAloud has an answer begin with a thought.
func (f Fault) thinkAloud(a Answer, r Request) Answer {
	if f != FaultThought {
		return a
	}
	if a.Text == "" && len(a.First) > 0 {
		a.Text = draw(a.First, r)
	}
	return Answer{Text: "<think>\nLet me weigh A and B.\n</think>\n\n" + a.Text}
}

// listed changes what a server lists for a token.
func (f Fault) listed(t token) token {
	switch f {
	case FaultOneLog:
		t.top = []option{{t.text, t.lp}}
	case FaultSumLog:
		t.top = slices.Clone(t.top)
		for i := range t.top {
			t.top[i].lp = max(t.top[i].lp, -0.5)
		}
	}
	return t
}

var (
	aLogprob = regexp.MustCompile(`"logprob":[-0-9.e]+`)
	aToken   = regexp.MustCompile(`"token":"(?:[^"\\]|\\.)*"`)
)

// written changes the JSON of a token.
func (f Fault) written(b []byte) []byte {
	switch f {
	case FaultNullLog:
		n := 0
		return aLogprob.ReplaceAllFunc(b, func(x []byte) []byte {
			if n++; n == 3 { // the token, the first of its list, the second
				return []byte(`"logprob":null`)
			}
			return x
		})
	case FaultIDs:
		return aToken.ReplaceAllFunc(b, func(x []byte) []byte {
			return fmt.Appendf(nil, `"token":"token_id:%d"`, crc32.ChecksumIEEE(x)%50_000)
		})
	}
	return b
}

// Always has every call fail.
func Always(f Fault) func(Request) Fault { return func(Request) Fault { return f } }

// During has the calls from number from to number to (the first is 1) fail; to
// 0 is without end.
func During(f Fault, from, to int) func(Request) Fault {
	return func(r Request) Fault {
		if r.Number >= int64(from) && (to == 0 || r.Number <= int64(to)) {
			return f
		}
		return FaultNone
	}
}

// Every has each nth call fail.
func Every(f Fault, n int) func(Request) Fault {
	return func(r Request) Fault {
		if n > 0 && r.Number%int64(n) == 0 {
			return f
		}
		return FaultNone
	}
}

// Mix has the share of calls that it names fail in each way; which ones they
// are depends on the seed and the number of the call.
func Mix(shares map[Fault]float64, seed uint64) func(Request) Fault {
	faults := slices.Sorted(maps.Keys(shares))
	return func(r Request) Fault {
		x := rand.New(rand.NewPCG(seed, uint64(r.Number))).Float64()
		for _, f := range faults {
			if x -= shares[f]; x < 0 {
				return f
			}
		}
		return FaultNone
	}
}

// ParseMix reads shares of faults, such as "runner=0.1,malformed=0.05".
func ParseMix(s string) (map[Fault]float64, error) {
	out := map[Fault]float64{}
	for part := range strings.SplitSeq(s, ",") {
		name, share, ok := strings.Cut(strings.TrimSpace(part), "=")
		f, err := ParseFault(name)
		if err != nil {
			return nil, err
		}
		x, err := strconv.ParseFloat(share, 64)
		if !ok || err != nil || x < 0 || x > 1 {
			return nil, fmt.Errorf("fault %s: %q is not a share from 0 to 1", name, share)
		}
		out[f] += x
	}
	return out, nil
}
