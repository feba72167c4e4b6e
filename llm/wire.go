package llm

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// logprob is a log-probability in a server's JSON: whatever stands there, it is
// read without an error, and what is no number is [NoLogprob].
type logprob float64

// UnmarshalJSON implements [json.Unmarshaler].
func (l *logprob) UnmarshalJSON(b []byte) error {
	*l = NoLogprob
	if v, err := strconv.ParseFloat(string(b), 64); err == nil || errors.Is(err, strconv.ErrRange) {
		if *l = logprob(v); v == NoLogprob {
			*l = logprob(math.Nextafter(v, 2))
		}
	}
	return nil
}

// alternative makes a token of what a server says of it; false where it says that
// the token cannot be.
func alternative(text string, l *logprob) (Alternative, bool) {
	a := Alternative{Text: text, Logprob: NoLogprob}
	if l == nil {
		return a, true
	}
	switch v := float64(*l); {
	case v < leastLogprob:
		return a, false
	case v <= 0:
		a.Logprob = v
	case v <= rounding/10:
		a.Logprob = 0
	case v > 0 && v != NoLogprob:
		a.Logprob = v // no list that has one is of a distribution
	}
	return a, true
}

// lineLogprob is a token with its alternatives, as both protocols write it.
type lineLogprob struct {
	lineToken
	TopLogprobs alternatives `json:"top_logprobs"`
}

type lineToken struct {
	Token   string   `json:"token"`
	Logprob *logprob `json:"logprob"`
}

// alternatives are a list of tokens, or an object of log-probabilities by text.
type alternatives []lineToken

// UnmarshalJSON implements [json.Unmarshaler]. What is neither form is no list.
func (a *alternatives) UnmarshalJSON(b []byte) error {
	*a = nil
	var list []lineToken
	if json.Unmarshal(b, &list) == nil {
		*a = list
		return nil
	}
	var object map[string]*logprob
	if json.Unmarshal(b, &object) == nil {
		for text, l := range object {
			*a = append(*a, lineToken{text, l})
		}
		slices.SortFunc(*a, func(x, y lineToken) int { return cmp.Compare(x.Token, y.Token) })
	}
	return nil
}

func (l *lineLogprob) token() Token {
	t := Token{}
	t.Alternative, _ = alternative(l.Token, l.Logprob)
	for _, x := range l.TopLogprobs {
		if a, ok := alternative(x.Token, x.Logprob); ok {
			t.Top = append(t.Top, a)
		}
	}
	return t
}

// logprobs are those of an answer's tokens: OpenAI's object, a bare list, or the
// object of OpenAI's completions, which some servers give for chats too.
type logprobs []lineLogprob

// UnmarshalJSON implements [json.Unmarshaler]. What is of no such form is as good
// as none.
func (l *logprobs) UnmarshalJSON(b []byte) error {
	*l = nil
	var list []lineLogprob
	if json.Unmarshal(b, &list) == nil {
		*l = list
		return nil
	}
	var o struct {
		Content []lineLogprob  `json:"content"`
		Tokens  []string       `json:"tokens"`
		Own     []*logprob     `json:"token_logprobs"`
		Top     []alternatives `json:"top_logprobs"`
	}
	if json.Unmarshal(b, &o) != nil {
		return nil
	}
	*l = o.Content
	for i, text := range o.Tokens {
		t := lineLogprob{lineToken: lineToken{Token: text}}
		if i < len(o.Own) {
			t.Logprob = o.Own[i]
		}
		if i < len(o.Top) {
			t.TopLogprobs = o.Top[i]
		}
		*l = append(*l, t)
	}
	return nil
}

// tokenID is how vLLM writes a token's number where it was told not to write the
// text.
var tokenID = regexp.MustCompile(`^token_id:\d+$`)

// unreadable tells that the tokens have numbers in place of texts.
func unreadable(tokens []Token) bool {
	return len(tokens) > 0 && !slices.ContainsFunc(tokens, func(t Token) bool { return !tokenID.MatchString(t.Text) })
}

// bareNumbers are what some servers write for numbers that JSON does not have,
// where a value stands.
var bareNumbers = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?\b(?:NaN|nan|Infinity|inf)\b`)

// decode is [json.Unmarshal] that takes those as well: what is below every
// number stays so, the others are null.
func decode(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil || !isSyntax(err) {
		return err
	}
	plain := bareNumbers.ReplaceAllFunc(data, func(b []byte) []byte {
		switch {
		case b[0] == '"':
			return b
		case b[0] == '-' && !bytes.EqualFold(b, []byte("-nan")):
			return []byte("-1e999")
		}
		return []byte("null")
	})
	if bytes.Equal(plain, data) {
		return err
	}
	return json.Unmarshal(plain, v)
}

// isSyntax tells that what came is no JSON at all.
func isSyntax(err error) bool {
	_, ok := errors.AsType[*json.SyntaxError](err)
	return ok
}

// isCutShort tells that what came is the beginning of JSON.
func isCutShort(err error) bool {
	e, ok := errors.AsType[*json.SyntaxError](err)
	return ok && e.Error() == "unexpected end of JSON input"
}

var pageTitle = regexp.MustCompile(`(?is)<(?:title|h1)[^>]*>\s*(.*?)\s*</(?:title|h1)>`)

// isPage tells that what a server sent begins as a web page does.
func isPage(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n\ufeff"), []byte("<"))
}

// wholePage reads on in a web page whose first line has been read.
func wholePage(lines *bufio.Scanner) string {
	text := lines.Text()
	for len(text) < 1<<16 && lines.Scan() {
		text += "\n" + lines.Text()
	}
	return text
}

// page says of a web page what it calls itself.
func page(data []byte) string {
	if m := pageTitle.FindSubmatch(data); m != nil {
		return fmt.Sprintf("a web page (“%s”)", clip(html.UnescapeString(string(m[1]))))
	}
	return "a web page"
}

// pageError is of a server that answers with a web page where an answer of the
// protocol belongs.
func pageError(data []byte, who, want, hint string) *Error {
	return &Error{Kind: KindOffFormat, Err: fmt.Errorf("%s is %s, not %s", who, page(data), want), fatal: true, page: true, Hint: hint}
}

const proxyHint = "a proxy answers in the place of the server: look whether that is up"

// pageStatus is of a server, or of a proxy before it, that refuses with a web
// page.
func pageStatus(code int, data []byte) error {
	return fmt.Errorf("the server answered %d %s with %s", code, http.StatusText(code), page(data))
}

// Words for the end of an answer, in lower case.
var (
	stopped = []string{"", "stop", "eos", "eos_token", "eos_found", "end_turn", "end_of_turn", "stop_sequence", "stop_token", "stop_str", "completed", "complete", "done", "normal"}
	filled  = []string{"length", "max_tokens", "max_length", "max_output_tokens", "max_new_tokens", "max_completion_tokens", "model_length", "limit"}
	broke   = regexp.MustCompile(`error|abort|cancel|fail|timeout|load|insufficient|unavailable|overload`)
	blocked = regexp.MustCompile(`filter|safety|block|prohibit|recitation|spii|refus|moderat|guardrail|policy|language`)
	called  = regexp.MustCompile(`tool|function`)
)

// ended reads why a server ended an answer: truncated by the bound, or an error
// where it was neither that nor the model's own end.
func ended(reason string) (truncated bool, _ error) {
	word := strings.ToLower(strings.TrimSpace(reason))
	e := &Error{Kind: KindStopped, Err: fmt.Errorf("the server ended the answer before its end, with the reason %q", clip(reason))}
	switch {
	case slices.Contains(stopped, word):
		return false, nil
	case slices.Contains(filled, word):
		return true, nil
	case called.MatchString(word):
		e.Hint = "the model called a tool in place of answering: serve it without tools"
	case blocked.MatchString(word):
		e.Hint = "a filter of the server cut the answer off; what it lets pass, the server's settings say"
	case broke.MatchString(word):
		e.Kind, e.retry = KindServer, true
	}
	return false, e
}
