package llm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"cai/llm"
)

// refusal is an answer with a status that is none of success.
func refusal(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// tooMany are the words in which servers refuse more than most log-probabilities
// where asked were wanted; those of the first list name the number.
var (
	tooMany = []string{
		`{"error":{"message":"Requested sample logprobs of ASKED, which is greater than max allowed: MOST","type":"BadRequestError","param":null,"code":400}}`,
		`{"object":"error","message":"Cannot request more than MOST logprobs.","type":"BadRequestError","param":null,"code":400}`,
		`{"error":"top_logprobs must be between 0 and MOST but got ASKED"}`,
		`{"error":{"message":"top_logprobs must be at most MOST"}}`,
		`{"detail":[{"type":"less_than_equal","loc":["body","top_logprobs"],"msg":"Input should be less than or equal to MOST","input":ASKED,"ctx":{"le":MOST}}]}`,
		`{"error":{"message":"1 validation error: top_logprobs (ASKED) <= MOST","code":"invalid"}}`,
		`{"message":"logprobs: value ASKED is over the limit of MOST."}`,
		`{"error":{"message":"model gpt-4.1-8b gives up to MOST log probs","param":"top_logprobs"}}`,
	}
	tooManyUnsaid = []string{
		`{"error":{"message":"Invalid value for top_logprobs","param":"top_logprobs"}}`,
		`{"error":{"message":"too many logprobs requested for model llama3.2-1b"}}`,
		`top_logprobs is out of range`,
	}
	// noneAtAll refuse them altogether, with any status.
	noneAtAll = []string{
		`{"error":{"message":"logprobs are not supported with this model.","param":"logprobs","code":"unsupported_parameter"}}`,
		`{"error":{"message":"You are not allowed to request logprobs from this model","type":"invalid_request_error"}}`,
		`{"detail":[{"type":"extra_forbidden","loc":["body","logprobs"],"msg":"Extra inputs are not permitted","input":true}]}`,
		`{"message":"This endpoint does not support logprobs"}`,
		`{"error":"logprobs: unknown field"}`,
	}
)

// Whatever number of log-probabilities a server gives, and however it says so, one
// answer is enough to learn it: later questions are asked for as many at once.
func TestFewerLogprobsAreAskedFor(t *testing.T) {
	var notices []string
	rapid.Check(t, func(rt *rapid.T) {
		notices = nil
		c, s := scripted(t, true, llm.Config{OnNotice: func(n string) { notices = append(notices, n) }})
		most := rapid.IntRange(0, 19).Draw(rt, "most")
		named := rapid.Bool().Draw(rt, "the number is named")
		words := rapid.SampledFrom(tooMany).Draw(rt, "words")
		if !named {
			words = rapid.SampledFrom(tooManyUnsaid).Draw(rt, "other words")
		}
		status := rapid.SampledFrom([]int{400, 422, 403}).Draw(rt, "status")
		s.set(func(w http.ResponseWriter, asked map[string]any) {
			n, _ := asked["top_logprobs"].(float64)
			if int(n) > most {
				refusal(status, strings.NewReplacer("ASKED", fmt.Sprint(n), "MOST", fmt.Sprint(most)).Replace(words))(w)
				return
			}
			top := []entry{{token: "A", number: "-0.3"}, {token: "B", number: "-1.5"}, {token: "C", number: "-5"}}
			said{[]string{"A"}, wrap(true, listedFor(top[0], top[:min(int(n), 3)])), "length"}.stream(true)(w, asked)
		})
		for range 2 {
			ch, err := llm.Choose(context.Background(), c, ask(comparison), 0, "A", "B")
			if err != nil {
				rt.Fatal(err)
			}
			b := -1.5
			if most < 2 {
				b = math.Log1p(-math.Exp(-0.3))
			}
			if math.Abs(ch.LogProb[0]+0.3) > 1e-9 || ch.LogProb[1] < b-1e-9 || ch.Censored != (ch.LogProb[1] != -1.5) {
				rt.Fatalf("%+v", ch)
			}
		}
		calls := s.calls()
		last, _ := calls[len(calls)-1]["top_logprobs"].(float64)
		want, tries := float64(most), 2 // the words may hold another small number
		if !named {
			want, tries = 0, 4
			for _, n := range []float64{1, 5, 10} {
				if n <= float64(most) {
					want = n
				}
			}
		}
		if last != want || len(calls) > 2+tries || len(notices) == 0 {
			rt.Fatalf("%v asked for at last, %v are given; %d calls, told %q", last, most, len(calls), notices)
		}
	})
}

// A server that refuses them altogether has none: votes are the way, and nothing
// is said of a key.
func TestRefusedLogprobsAreNone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c, s := scripted(t, true, llm.Config{})
		words := rapid.SampledFrom(noneAtAll).Draw(rt, "words")
		status := rapid.SampledFrom([]int{400, 403, 422, 501}).Draw(rt, "status")
		s.set(func(w http.ResponseWriter, asked map[string]any) {
			if asked["logprobs"] == true {
				refusal(status, words)(w)
				return
			}
			said{[]string{"B", "\n"}, "", "length"}.stream(true)(w, asked)
		})
		for range 2 {
			if _, err := llm.Choose(context.Background(), c, ask(comparison), 0, "A", "B"); llm.KindOf(err) != llm.KindNoLogprobs || strings.Contains(fmt.Sprint(err), "key") {
				rt.Fatal(err)
			}
		}
		if n := len(s.calls()); n != 1 {
			rt.Fatalf("%d calls", n)
		}
		ch, err := llm.Choose(context.Background(), c, ask(comparison), 3, "A", "B")
		if err != nil || ch.Coverage != 1 || ch.LogProb[1] < ch.LogProb[0] {
			rt.Fatalf("%+v, %v", ch, err)
		}
	})
}

// refuseBy writes a refusal of a parameter in one of the ways of servers.
func refuseBy(style int, p string) (int, string) {
	switch style {
	case 0:
		return 400, fmt.Sprintf(`{"error":{"message":"Unsupported parameter: '%s' is not supported with this model.","type":"invalid_request_error","param":"%s","code":"unsupported_parameter"}}`, p, p)
	case 1:
		return 422, fmt.Sprintf(`{"detail":[{"type":"extra_forbidden","loc":["body","%s"],"msg":"Extra inputs are not permitted","input":0}]}`, p)
	case 2:
		return 400, fmt.Sprintf(`{"error":"unknown field \"%s\""}`, p)
	case 3:
		return 400, fmt.Sprintf(`{"object":"error","message":"Unrecognized request argument supplied: %s","code":400,"param":"%s"}`, p, p)
	}
	return 403, fmt.Sprintf(`{"error":{"message":"%s cannot be set here","param":"%s"}}`, p, p)
}

// What a server refuses is left out and told once; the rest stays, and the answer
// never goes without a bound.
func TestRefusedParametersAreLeftOut(t *testing.T) {
	var notices []string
	droppable := []string{"temperature", "seed", "stream_options", "top_p", "stream", "response_format", "stop"}
	rapid.Check(t, func(rt *rapid.T) {
		notices = nil
		c, s := scripted(t, true, llm.Config{OnNotice: func(n string) { notices = append(notices, n) }})
		refused := rapid.SliceOfDistinct(rapid.SampledFrom(append([]string{"max_tokens"}, droppable...)), rapid.ID).Draw(rt, "refused")
		style := rapid.IntRange(0, 4).Draw(rt, "style")
		s.set(func(w http.ResponseWriter, asked map[string]any) {
			for _, p := range refused {
				if asked[p] != nil && asked[p] != false {
					status, body := refuseBy(style, p)
					if p == "max_tokens" && style == 4 {
						body = `{"error":{"message":"use max_completion_tokens in place of max_tokens"}}`
					}
					refusal(status, body)(w)
					return
				}
			}
			a := said{[]string{"Hello."}, "", "stop"}
			if slices.Contains(refused, "stream") {
				io.WriteString(w, `{"choices":[{"message":{"content":"Hello."},"finish_reason":"stop"}]}`)
				return
			}
			a.stream(true)(w, asked)
		})
		req := ask("hi")
		req.Plain, req.Temperature, req.Stop, req.Format = true, 0.7, []string{"END"}, json.RawMessage(`{"type":"object"}`)
		for range 2 {
			if r, err := c.Chat(context.Background(), req); err != nil || r.Text != "Hello." {
				rt.Fatalf("%+v, %v", r, err)
			}
		}
		calls := s.calls()
		if len(calls) != 2+len(refused) {
			rt.Fatalf("%d calls for %v", len(calls), refused)
		}
		last := calls[len(calls)-1]
		told := 0
		for _, p := range droppable {
			if left := last[p] == nil; left != slices.Contains(refused, p) {
				rt.Fatalf("%s left out: %v, refused are %v", p, left, refused)
			}
			if slices.Contains(refused, p) && p != "stream" && p != "stream_options" {
				told++
			}
		}
		if last["max_tokens"] == nil && last["max_completion_tokens"] == nil {
			rt.Fatal("no bound")
		}
		if len(notices) != told {
			rt.Fatalf("told %q of %v", notices, refused)
		}
	})
}

// A server that takes one value of a parameter gets that one.
func TestTheOnlyTemperature(t *testing.T) {
	c, s := scripted(t, true, llm.Config{})
	s.set(func(w http.ResponseWriter, asked map[string]any) {
		if asked["temperature"] != 1.0 {
			refusal(400, `{"error":{"message":"Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.","param":"temperature","code":"unsupported_value"}}`)(w)
			return
		}
		said{[]string{"Hello."}, "", "stop"}.stream(true)(w, asked)
	})
	if _, err := c.Chat(t.Context(), ask("hi")); err != nil || len(s.calls()) != 2 {
		t.Errorf("%v, %d calls", err, len(s.calls()))
	}
}

// What the user set is not left out behind their back, and a request that is
// refused for good is not asked for ever.
func TestOptionsOfTheUserStay(t *testing.T) {
	for _, option := range []string{"top_k", "temperature", "presence_penalty"} {
		c, s := scripted(t, true, llm.Config{Options: map[string]string{option: "1"}})
		s.set(func(w http.ResponseWriter, _ map[string]any) {
			refusal(400, `{"error":{"message":"`+option+` is not supported","param":"`+option+`"}}`)(w)
		})
		_, err := c.Chat(t.Context(), ask("hi"))
		if llm.KindOf(err) != llm.KindRequest || !strings.Contains(llm.HintOf(err), "--option "+option) || len(s.calls()) != 1 {
			t.Errorf("%s: %v, hint %q, %d calls", option, err, llm.HintOf(err), len(s.calls()))
		}
	}
	c, s := scripted(t, true, llm.Config{})
	s.set(func(w http.ResponseWriter, _ map[string]any) {
		refusal(400, `{"error":{"message":"max_tokens and max_completion_tokens, logprobs, seed, temperature: unsupported"}}`)(w)
	})
	req := ask("hi")
	req.TopLogprobs = 5
	if _, err := c.Chat(t.Context(), req); err == nil || len(s.calls()) > 12 {
		t.Errorf("%v after %d calls", err, len(s.calls()))
	}
}

// A refusal that is not about the key is told as it is.
func TestForbiddenIsNotAlwaysTheKey(t *testing.T) {
	for body, key := range map[string]bool{
		``: true, `{"error":{"message":"Incorrect API key provided"}}`: true, `{"error":"Forbidden"}`: true,
		`{"error":{"message":"Your input was flagged by moderation"}}`: false, `{"message":"this model is served in the EU alone"}`: false,
	} {
		c, s := scripted(t, true, llm.Config{})
		s.set(func(w http.ResponseWriter, _ map[string]any) { refusal(403, body)(w) })
		_, err := c.Chat(t.Context(), ask("hi"))
		if strings.Contains(fmt.Sprint(err), "API key") != key || llm.Fatal(err) != key {
			t.Errorf("%s: %v, fatal %v", body, err, llm.Fatal(err))
		}
	}
}

// A vote is for the option that an answer names first, however it is written; one
// for none of them, or for two, is none.
func TestVotesNameAnOption(t *testing.T) {
	c, s := scripted(t, true, llm.Config{})
	before := []string{"", " ", "\n\n", "**", "(", "[", "\"", "\\boxed{", "Answer: ", "The answer is ", "answer ", "Reply ", "Option **", "Response (", "> ", "- "}
	after := []string{"", ".", ")", "\n\nBecause it is", "**", ") is better", ": it is", ", since", "\t", "—the", "</b>", "}", "\n", "。因为", "更好", "'s"}
	rapid.Check(t, func(rt *rapid.T) {
		options := rapid.SampledFrom([][]string{{"A", "B"}, {"1", "2", "3", "4", "5"}, {"No", "Yes"}}).Draw(rt, "options")
		i := rapid.IntRange(0, len(options)-1).Draw(rt, "option")
		word := options[i]
		if rapid.Bool().Draw(rt, "lower case") {
			word = strings.ToLower(word)
		}
		text := rapid.SampledFrom(before).Draw(rt, "before") + word + rapid.SampledFrom(after).Draw(rt, "after")
		s.set(said{cutUp(rt, text), "", "length"}.stream(true))
		ch, err := llm.Choose(context.Background(), c, ask(comparison), 1, options...)
		if err != nil || ch.Coverage != 1 {
			rt.Fatalf("%q is no vote for %s: %+v, %v", text, word, ch, err)
		}
		for k, lp := range ch.LogProb {
			if k != i && lp >= ch.LogProb[i] {
				rt.Fatalf("%q is a vote for %s: %v", text, options[k], ch.LogProb)
			}
		}
	})
	for text, options := range map[string][]string{
		"Both are": {"A", "B"}, "A or B": {"A", "B"}, "Answer A or": {"A", "B"}, "A and B": {"A", "B"}, "A/B": {"A", "B"}, "Neither": {"A", "B"},
		"AB": {"A", "B"}, "Because A": {"A", "B"}, "Ä": {"A", "B"}, "4.5": {"4", "5"}, "10": {"1", "0"}, "1-2": {"1", "2"}, "5 %": {"5", "4"}, "…": {"A", "B"},
		"A reply that is": {"A", "B"}, "A good answer": {"A", "B"}, "A is worse": {"A", "B"}, "B: wrong.": {"A", "B"}, "A is not": {"A", "B"},
	} {
		s.set(said{[]string{text}, "", "length"}.stream(true))
		ch, err := llm.Choose(t.Context(), c, ask(comparison), 2, options...)
		if err != nil || ch.Coverage != 0 || ch.First != text || llm.DoubtOf(ch.LogProb, ch.Coverage, false) != llm.DoubtUndecided {
			t.Errorf("%q is a vote: %+v, %v", text, ch, err)
		}
	}
}

// Calls at the same time learn the same, and none of them fails for it.
func TestCallsAtOnceLearnTogether(t *testing.T) {
	var told atomic.Int64
	c, s := scripted(t, true, llm.Config{OnNotice: func(string) { told.Add(1) }})
	var first sync.WaitGroup
	first.Add(8)
	var seen atomic.Int64
	s.set(func(w http.ResponseWriter, asked map[string]any) {
		if seen.Add(1) <= 8 { // none is answered before all have asked
			first.Done()
			first.Wait()
		}
		n, _ := asked["top_logprobs"].(float64)
		switch {
		case asked["temperature"] != 1.0:
			refusal(400, `{"error":{"message":"Only the default (1) value of 'temperature' is supported."}}`)(w)
		case asked["seed"] != nil:
			refusal(422, `{"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}`)(w)
		case n > 5:
			refusal(400, `{"error":{"message":"Cannot request more than 5 logprobs."}}`)(w)
		default:
			said{[]string{"A"}, wrap(true, listed(entry{token: "A", number: "-0.3"}, entry{token: "B", number: "-1.5"})), "length"}.stream(true)(w, asked)
		}
	})
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			_, err := llm.Choose(t.Context(), c, ask(comparison), 0, "A", "B")
			return err
		})
	}
	if err := g.Wait(); err != nil || told.Load() != 3 {
		t.Errorf("%v, told %d times", err, told.Load())
	}
}
