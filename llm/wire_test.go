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
	"testing"
	"time"

	"pgregory.net/rapid"

	"cai/llm"
)

// script is a server of both protocols that says who it is and answers chats with
// what a test puts there.
type script struct {
	mu     sync.Mutex
	answer func(w http.ResponseWriter, asked map[string]any)
	asked  []map[string]any
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/models":
		io.WriteString(w, `{"object":"list","data":[{"id":"m"}]}`)
	case "/api/tags":
		io.WriteString(w, `{"models":[{"name":"m:latest","model":"m:latest","digest":"d"}]}`)
	case "/api/show":
		io.WriteString(w, `{"capabilities":["completion"],"model_info":{}}`)
	case "/api/version":
		io.WriteString(w, `{"version":"0.17.4"}`)
	default:
		var q map[string]any
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.asked = append(s.asked, q)
		answer := s.answer
		s.mu.Unlock()
		answer(w, q)
	}
}

// set replaces what the server answers, and forgets what it was asked.
func (s *script) set(answer func(w http.ResponseWriter, asked map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.asked = answer, nil
}

func (s *script) calls() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// scripted opens a client of a script.
func scripted(t *testing.T, v1 bool, c llm.Config) (*llm.Client, *script) {
	t.Helper()
	s := &script{}
	url := serve(t, s.ServeHTTP)
	c.Model, c.Hosts = "m", []string{url}
	if v1 {
		c.Model = "openai:m@" + url
	}
	client, err := llm.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, s
}

// said is an answer as a server writes it.
type said struct {
	pieces []string // of the content
	logs   string   // JSON of the logprobs; empty for none
	finish string
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a text
	}
	return string(b)
}

// chunks are the objects of a streamed answer.
func (a said) chunks(v1 bool) []string {
	var out []string
	for i, p := range a.pieces {
		logs := ""
		if i == 0 && a.logs != "" {
			logs = `,"logprobs":` + a.logs
		}
		if v1 {
			out = append(out, fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":%s}%s}]}`, quoted(p), logs))
		} else {
			out = append(out, fmt.Sprintf(`{"model":"m","message":{"role":"assistant","content":%s},"done":false%s}`, quoted(p), logs))
		}
	}
	if v1 {
		return append(out, fmt.Sprintf(`{"choices":[{"index":0,"delta":{},"finish_reason":%s}],"usage":{"prompt_tokens":5,"completion_tokens":%d}}`, quoted(a.finish), len(a.pieces)))
	}
	return append(out, fmt.Sprintf(`{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":%s,"prompt_eval_count":5,"eval_count":%d}`, quoted(a.finish), len(a.pieces)))
}

// stream answers with it.
func (a said) stream(v1 bool) func(http.ResponseWriter, map[string]any) {
	body := strings.Join(a.chunks(v1), "\n") + "\n"
	if v1 {
		body = "data: " + strings.Join(a.chunks(v1), "\n\ndata: ") + "\n\ndata: [DONE]\n\n"
	}
	return func(w http.ResponseWriter, _ map[string]any) { io.WriteString(w, body) }
}

// entry is a token that a server lists; an empty number is a key that is missing.
type entry struct {
	token, number string
	p             float64 // the truth
}

func (e entry) json(more string) string {
	if e.number == "" {
		return fmt.Sprintf(`{"token":%s%s}`, quoted(e.token), more)
	}
	return fmt.Sprintf(`{"token":%s,"logprob":%s%s}`, quoted(e.token), e.number, more)
}

// listed is what a server lists for a token, which is the first of the list.
func listed(top ...entry) string { return listedFor(top[0], top) }

func listedFor(drawn entry, top []entry) string {
	var list []string
	for _, e := range top {
		list = append(list, e.json(""))
	}
	return drawn.json(`,"top_logprobs":[` + strings.Join(list, ",") + "]")
}

// wrap makes the logprobs of what is listed for the tokens.
func wrap(v1 bool, list string) string {
	if v1 {
		return `{"content":[` + list + "]}"
	}
	return "[" + list + "]"
}

// noNumber are what stands for a log-probability that is none.
var noNumber = rapid.SampledFrom([]string{"null", "", `"-0.3"`, "NaN", "{}", "[-1]", "true"})

// A list of log-probabilities, as much of it as can be read, never turns an
// answer round: what is listed keeps its probability, what is not has a bound
// that holds, and where that tells nothing the answer abstains.
func TestListsNeverTurnAnAnswer(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, s := scripted(t, v1, llm.Config{})
		rapid.Check(t, func(t *rapid.T) {
			all := []entry{
				{token: rapid.SampledFrom([]string{"A", " A", "a", "(A", "A."}).Draw(t, "A")},
				{token: rapid.SampledFrom([]string{"B", "▁B", "b", "**B", "B)"}).Draw(t, "B")},
			}
			for i := range rapid.IntRange(0, 6).Draw(t, "others") {
				all = append(all, entry{token: fmt.Sprintf("x%d", i)})
			}
			sum := 0.0
			for i := range all {
				all[i].p = math.Exp(rapid.Float64Range(-6, 0).Draw(t, "weight"))
				sum += all[i].p
			}
			sum /= rapid.Float64Range(0.2, 1).Draw(t, "shown") // the rest is on tokens that have no name here
			for i := range all {
				all[i].p /= sum
				all[i].number = fmt.Sprintf("%.9g", math.Log(all[i].p))
			}
			truth := [2]float64{all[0].p, all[1].p}
			slices.SortFunc(all, func(x, y entry) int { return int(math.Copysign(1, y.p-x.p)) })
			drawn := all[rapid.IntRange(0, len(all)-1).Draw(t, "drawn")]
			top := all[:rapid.IntRange(0, len(all)).Draw(t, "listed")]
			lost := rapid.Bool().Draw(t, "numbers get lost")
			for i := range top {
				if lost && rapid.IntRange(0, 2).Draw(t, "lost") == 0 {
					top[i].number = noNumber.Draw(t, "number")
				}
			}
			isNumber := func(e entry) bool { return strings.HasPrefix(e.number, "-") }
			known, unknown := map[string]float64{}, map[string]bool{}
			least := 1.0
			for _, e := range top {
				if isNumber(e) {
					known[e.token], least = e.p, min(least, e.p)
				} else {
					unknown[e.token] = true
				}
			}
			known[drawn.token] = drawn.p // which has its number
			delete(unknown, drawn.token)
			rest := 1.0
			for _, p := range known {
				rest -= p
			}
			s.set(said{[]string{drawn.token}, wrap(v1, listedFor(drawn, top)), "length"}.stream(v1))
			ch, err := llm.Choose(context.Background(), c, ask(comparison), 0, "A", "B")
			if err != nil {
				t.Fatalf("%v\n%v", err, s.calls())
			}
			bounded := 0
			for i, lp := range ch.LogProb {
				token, is := "", false
				for _, e := range all {
					if strings.EqualFold(strings.Trim(e.token, " ▁(*.)"), string(rune('A'+i))) {
						token = e.token
					}
				}
				p := math.Exp(lp)
				if _, is = known[token]; is {
					if math.Abs(p-truth[i]) > 1e-6 && ch.Coverage > 0 {
						t.Fatalf("option %d has %v, it is listed with %v", i, p, truth[i])
					}
					continue
				}
				bounded++
				most := max(rest, 1e-6)
				if !unknown[token] {
					most = min(most, least)
				}
				if ch.Coverage > 0 && (p < truth[i]-1e-6 || p > most+1e-6) {
					t.Fatalf("option %d has %v: it may have %v at most, and has %v", i, p, most, truth[i])
				}
			}
			if ch.Censored != (bounded > 0) {
				t.Fatalf("censored %v with %d options that are not listed", ch.Censored, bounded)
			}
			switch doubt := llm.DoubtOf(ch.LogProb, ch.Coverage, ch.Censored); {
			case bounded == 0 && doubt != "", bounded == 2 && doubt != llm.DoubtUndecided, (doubt != "") != (ch.Coverage == 0):
				t.Fatalf("doubt %q with %d bounds and coverage %v", doubt, bounded, ch.Coverage)
			case doubt == "" && math.Abs(truth[0]-truth[1]) > 1e-6 && (ch.LogProb[0] > ch.LogProb[1]) != (truth[0] > truth[1]):
				t.Fatalf("%v of %v", ch.LogProb, truth)
			}
		})
	})
}

// Probabilities that sum to more than 1, beyond rounding, are those of no
// distribution.
func TestSumsAboveOneAreOffFormat(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, s := scripted(t, v1, llm.Config{})
		rapid.Check(t, func(t *rapid.T) {
			n := rapid.IntRange(2, 8).Draw(t, "tokens")
			sum := rapid.OneOf(rapid.Float64Range(0.5, 1.005), rapid.Float64Range(1.02, 3)).Draw(t, "sum")
			var top []entry
			left := sum
			for i := range n {
				p := left / float64(n-i)
				if i < n-1 {
					p *= rapid.Float64Range(0.5, 1.2).Draw(t, "share")
				}
				p = min(p, 1)
				left -= p
				top = append(top, entry{token: []string{"A", "B", "c", "d", "e", "f", "g", "h"}[i], number: fmt.Sprintf("%.12g", min(-1e-9, math.Log(p)))})
			}
			if left > 1e-9 {
				return // as much as n tokens can have
			}
			s.set(said{[]string{"A"}, wrap(v1, listed(top...)), "length"}.stream(v1))
			_, err := llm.Choose(context.Background(), c, ask(comparison), 0, "A", "B")
			if want := sum > 1.01; (llm.KindOf(err) == llm.KindOffFormat) != want || err != nil && !want {
				t.Fatalf("sum %v: %v", sum, err)
			}
		})
	})
}

// An answer of which nothing can be read is none, in the forms that servers have
// for it; others are read in all their forms.
func TestFormsOfLogprobs(t *testing.T) {
	for logs, want := range map[string]llm.Kind{
		`{"content":[{"token":"A","logprob":-0.3,"top_logprobs":[{"token":"A","logprob":-0.3},{"token":"B","logprob":-1.4}]}]}`:                                   "",
		`[{"token":"A","logprob":-0.3,"top_logprobs":[{"token":"A","logprob":-0.3},{"token":"B","logprob":-1.4}]}]`:                                               "",
		`{"content":[{"token":"A","logprob":-0.3,"top_logprobs":{"A":-0.3,"B":-1.4}}]}`:                                                                           "",
		`{"tokens":["A"],"token_logprobs":[-0.3],"top_logprobs":[{"A":-0.3,"B":-1.4}],"text_offset":[0]}`:                                                         "",
		`{"content":[{"token":"A","logprob":-0.3,"top_logprobs":[{"token":"A","logprob":-0.3},{"token":"B","logprob":-1.4},{"token":"x","logprob":-Infinity}]}]}`: "",
		`{"content":[{"token":"A","logprob":-9999,"top_logprobs":[{"token":"A","logprob":-0.3},{"token":"B","logprob":-1.4},{"token":"x","logprob":-9999.0}]}]}`:  "",
		`null`:             llm.KindNoLogprobs,
		`{"content":null}`: llm.KindNoLogprobs,
		`{"content":[]}`:   llm.KindNoLogprobs,
		`"yes"`:            llm.KindNoLogprobs,
		`{"content":[{"token":"A","logprob":null,"top_logprobs":[]}]}`:                                          llm.KindNoLogprobs,
		`{"content":[{"token":"A","top_logprobs":[{"token":"A","logprob":null},{"token":"B","logprob":"x"}]}]}`: llm.KindNoLogprobs,
		// Probabilities in the place of their logarithms.
		`{"content":[{"token":"A","logprob":0.9,"top_logprobs":[{"token":"A","logprob":0.9},{"token":"B","logprob":0.0}]}]}`: llm.KindOffFormat,
		`{"content":[{"token":"A","logprob":1.0,"top_logprobs":[{"token":"A","logprob":1.0},{"token":"B","logprob":0.0}]}]}`: llm.KindOffFormat,
		`{"content":[{"token":"token_id:32","logprob":-0.3,"top_logprobs":[{"token":"token_id:32","logprob":-0.3}]}]}`:       llm.KindNoLogprobs,
	} {
		c, s := scripted(t, true, llm.Config{})
		s.set(said{[]string{"A"}, logs, "stop"}.stream(true))
		ch, err := llm.Choose(t.Context(), c, ask(comparison), 0, "A", "B")
		if llm.KindOf(err) != want {
			t.Errorf("%s: %v", logs, err)
		}
		if want == "" && (math.Abs(ch.LogProb[0]+0.3) > 1e-9 || math.Abs(ch.LogProb[1]+1.4) > 1e-9 || ch.Censored) {
			t.Errorf("%s: %+v", logs, ch)
		}
	}
}

// A token that is only a blank or a mark is no answer: the one behind it is.
func TestMarksBeforeAnAnswerArePassedOver(t *testing.T) {
	at := func(token string, p float64) entry { return entry{token: token, number: fmt.Sprint(math.Log(p))} }
	protocols(t, func(t *testing.T, v1 bool) {
		for _, mark := range []string{" ", "\n\n", "(", "**", "", "▁"} {
			c, s := scripted(t, v1, llm.Config{})
			first := listed(at(mark, 0.9), at("A", 0.01), at("B", 0.05))
			second := listed(at("A", 0.8), at("B", 0.1))
			s.set(func(w http.ResponseWriter, asked map[string]any) {
				n, _ := asked["max_tokens"].(float64)
				if o, ok := asked["options"].(map[string]any); ok {
					n = o["num_predict"].(float64)
				}
				a := said{[]string{mark}, wrap(v1, first), "length"}
				if n > 1 {
					a = said{[]string{mark + "A"}, wrap(v1, first+","+second), "stop"}
				}
				a.stream(v1)(w, asked)
			})
			ch, err := llm.Choose(t.Context(), c, ask(comparison), 0, "A", "B")
			if err != nil {
				t.Fatalf("%q: %v", mark, err)
			}
			a, b := 0.01+0.9*0.8, 0.05+0.9*0.1
			if math.Abs(math.Exp(ch.LogProb[0])-a) > 1e-9 || math.Abs(math.Exp(ch.LogProb[1])-b) > 1e-9 || math.Abs(ch.Coverage-a-b) > 1e-9 || ch.Calls != 2 {
				t.Errorf("%q: %+v", mark, ch)
			}
		}
	})
}

// However an answer is written, whole or in pieces, by whatever content type, it
// is the same answer.
func TestAnswersInAllForms(t *testing.T) {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{"Air ", "scatters", "\n", "“light”", " {", "}", "data: ", "error: ", " 日本", "\\", `"`, "<b>", ":"}), 1, 8)
	protocols(t, func(t *testing.T, v1 bool) {
		c, s := scripted(t, v1, llm.Config{})
		rapid.Check(t, func(t *rapid.T) {
			pieces := words.Draw(t, "pieces")
			a := said{pieces, "", rapid.SampledFrom([]string{"stop", "length", "STOP", "eos", "max_tokens"}).Draw(t, "finish")}
			text := strings.Join(pieces, "")
			body := formOf(t, v1, a, text)
			kind := rapid.SampledFrom([]string{"application/json", "text/plain; charset=utf-8", "text/event-stream", "application/x-ndjson", ""}).Draw(t, "content type")
			s.set(func(w http.ResponseWriter, _ map[string]any) {
				w.Header().Set("Content-Type", kind)
				io.WriteString(w, body)
			})
			var heard strings.Builder
			req := ask("hi")
			req.OnText = func(s string) { heard.WriteString(s) }
			r, err := c.Chat(context.Background(), req)
			if strings.TrimSpace(text) == "" {
				if k := llm.KindOf(err); k != llm.KindEmpty && k != llm.KindThinking {
					t.Fatalf("an empty answer: %v", err)
				}
				return
			}
			if err != nil || r.Text != text || heard.String() != text || r.Truncated != (a.finish == "length" || a.finish == "max_tokens") {
				t.Fatalf("%+v, heard %q, %v of\n%s", r, heard.String(), err, body)
			}
		})
	})
}

// formOf writes an answer in one of the forms that servers have.
func formOf(t *rapid.T, v1 bool, a said, text string) string {
	chunks := a.chunks(v1)
	whole := fmt.Sprintf(`{"model":"m","message":{"role":"assistant","content":%s},"done":true,"done_reason":%s}`, quoted(text), quoted(a.finish))
	if v1 {
		content := quoted(text)
		if rapid.Bool().Draw(t, "in parts") {
			var parts []string
			for i, p := range a.pieces {
				parts = append(parts, []string{fmt.Sprintf(`{"type":"text","text":%s}`, quoted(p)), quoted(p)}[i%2])
			}
			content = `[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},` + strings.Join(parts, ",") + "]"
		}
		whole = fmt.Sprintf(`{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":%s}]}`, content, quoted(a.finish))
	}
	form := rapid.SampledFrom([]string{"stream", "whole", "indented", "lines"}).Draw(t, "form")
	switch {
	case form == "whole":
		return whole
	case form == "indented":
		var v any
		if err := json.Unmarshal([]byte(whole), &v); err != nil {
			t.Fatal(err)
		}
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return "\n" + string(b) + "\n"
	case form == "lines" || !v1:
		return strings.Join(chunks, rapid.SampledFrom([]string{"\n", "\r\n", "\n\n"}).Draw(t, "line end")) + "\n"
	}
	end := rapid.SampledFrom([]string{"\n\n", "\r\n\r\n", "\n", "\n: keep-alive\n\n"}).Draw(t, "event end")
	space := rapid.SampledFrom([]string{"", " "}).Draw(t, "space")
	var b strings.Builder
	for i, x := range chunks {
		if end == "\n\n" && rapid.Bool().Draw(t, "in two lines") {
			x = strings.Replace(x, `,"choices"`, ",\ndata: \"choices\"", 1)
			x = strings.Replace(x, `{"choices":[`, "{\"choices\":[\ndata:", 1)
		}
		if rapid.Bool().Draw(t, "named") {
			fmt.Fprintf(&b, "event: message\nid: %d\n", i)
		}
		fmt.Fprintf(&b, "data:%s%s%s", space, x, end)
	}
	return b.String() + "data:" + space + "[DONE]" + end
}

// What ends an answer that is neither its end nor the limit is an error, and so
// is one that comes in its midst.
func TestEndsOfAnswersAreTyped(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, v1 bool) {
		for finish, want := range map[string]llm.Kind{
			"stop": "", "length": "", "": "", "end_turn": "", "MAX_TOKENS": "",
			"content_filter": llm.KindStopped, "SAFETY": llm.KindStopped, "tool_calls": llm.KindStopped, "function_call": llm.KindStopped,
			"pause": llm.KindStopped, "recitation": llm.KindStopped,
			"error": llm.KindServer, "abort": llm.KindServer, "unload": llm.KindServer, "load": llm.KindServer, "insufficient_system_resource": llm.KindServer,
		} {
			t.Run(finish, func(t *testing.T) {
				t.Parallel()
				c, s := scripted(t, v1, llm.Config{})
				s.set(said{[]string{"The first step is to open"}, "", finish}.stream(v1))
				_, err := c.Chat(t.Context(), ask("hi"))
				if llm.KindOf(err) != want || err != nil && want == "" {
					t.Errorf("%v", err)
				}
				if retried := len(s.calls()) > 1; retried != (want == llm.KindServer) {
					t.Errorf("%d calls", len(s.calls()))
				}
			})
		}
	})
	for body, want := range map[string]llm.Kind{
		"event: error\ndata: {\"error\":{\"message\":\"The model has crashed.\"}}\n\n":                       llm.KindServer,
		"event: error\ndata: The model has crashed.\n\n":                                                     llm.KindServer,
		"error: {\"code\":500,\"message\":\"slot unavailable\",\"type\":\"server_error\"}\n\n":               llm.KindServer,
		"data: {\"object\":\"error\",\"message\":\"engine died\",\"code\":500}\n\n":                          llm.KindServer,
		"data: {\"choices\":[{\"delta\":{\"content\":\"Air\"}}]}\n\ndata: {\"error\":\"out of memory\"}\n\n": llm.KindServer,
		"error: {\"code\":400,\"message\":\"the request exceeds the available context size\"}\n\n":           llm.KindContext,
		"data: {\"error\":{\"message\":\"Loading model\",\"code\":503}}\n\n":                                 llm.KindBusy,
		"{\"error\":{\"message\":\"no such thing\",\"code\":422}}":                                           llm.KindRequest,
		"{\"status\":\"ok\"}": llm.KindOffFormat,
		"data: [DONE]\n\n":    llm.KindOffFormat,
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			c, s := scripted(t, true, llm.Config{Patience: time.Second})
			s.set(func(w http.ResponseWriter, _ map[string]any) { io.WriteString(w, body) })
			if _, err := c.Chat(t.Context(), ask("hi")); llm.KindOf(err) != want {
				t.Errorf("%q: %q, %v", body, llm.KindOf(err), err)
			}
		})
	}
}

// A web page is named as one at once, wherever it comes; a proxy's is asked
// again.
func TestWebPagesAreNamed(t *testing.T) {
	t.Parallel()
	page := "<!doctype html>\n<html><head><title>Sign in &amp; go on</title></head><body></body></html>"
	for _, model := range []string{"m", "openai:m@"} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
		cfg := llm.Config{Model: model, Hosts: []string{url}}
		if model != "m" {
			cfg.Model += url
		}
		c, err := llm.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		began := time.Now()
		_, err = c.Identify(t.Context())
		if llm.KindOf(err) != llm.KindOffFormat || !llm.Fatal(err) || !strings.Contains(fmt.Sprint(err), "is a web page") || time.Since(began) > time.Second {
			t.Errorf("%s: %v after %v", model, err, time.Since(began))
		}
	}
	protocols(t, func(t *testing.T, v1 bool) {
		for status, calls := range map[int]int{200: 1, 502: 4, 403: 1, 404: 1} {
			c, s := scripted(t, v1, llm.Config{})
			s.set(func(w http.ResponseWriter, _ map[string]any) {
				w.WriteHeader(status)
				io.WriteString(w, page)
			})
			_, err := c.Chat(t.Context(), ask("hi"))
			if !strings.Contains(fmt.Sprint(err), "a web page (“Sign in & go on”)") || len(s.calls()) != calls {
				t.Errorf("%d: %v after %d calls", status, err, len(s.calls()))
			}
		}
	})
}

// A first answer that is broken is asked for again once the server has said who
// it is.
func TestABrokenFirstAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, v1 bool) {
		good := strings.Join(said{[]string{"Hello."}, "", "stop"}.chunks(v1), "\n") + "\n"
		for _, broken := range []string{good[:20], "data: {\"choices\":[{\"del\n\n", "null and void", "{\"a\":1} trailing"} {
			c, s := scripted(t, v1, llm.Config{})
			s.set(func(w http.ResponseWriter, _ map[string]any) {
				if len(s.calls()) == 1 {
					io.WriteString(w, broken)
					return
				}
				io.WriteString(w, good)
			})
			if r, err := c.Chat(t.Context(), ask("hi")); err != nil || r.Text != "Hello." || len(s.calls()) != 2 {
				t.Errorf("%q: %+v, %v, %d calls", broken, r, err, len(s.calls()))
			}
		}
	})
}

// Some servers repeat beside the pieces of an answer what has come so far.
func TestAnAnswerThatIsRepeatedIsReadOnce(t *testing.T) {
	c, s := scripted(t, true, llm.Config{})
	s.set(func(w http.ResponseWriter, _ map[string]any) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range []string{
			`{"choices":[{"delta":{"content":"Air "},"message":{"role":"assistant","content":"Air "}}]}`,
			`{"choices":[{"delta":{"content":"scatters."},"message":{"role":"assistant","content":"Air scatters."}}]}`,
			`{"choices":[{"delta":{},"message":{"role":"assistant","content":"Air scatters."},"finish_reason":"stop"}]}`,
			"[DONE]",
		} {
			fmt.Fprintf(w, "data: %s\n\n", e)
		}
	})
	r, err := c.Chat(t.Context(), ask(comparison))
	if err != nil || r.Text != "Air scatters." {
		t.Fatalf("%q, %v", r.Text, err)
	}
}
