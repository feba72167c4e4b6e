package llm

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// thoughtName is what models call their thoughts, with what some put before it
// (seed:think, longcat_think).
const thoughtName = `((?:[a-z0-9]+[:_])?(?:think|thinking|thoughts?|reasoning|reason|reflection|scratchpad|inner_monologue))`

// opening are the marks with which a model begins its thoughts. What stands in
// the first group is the name that the end has, too.
var opening = []struct {
	open *regexp.Regexp
	ends func(name string) []string // in lower case
}{
	{ // <think>, <seed:think>
		regexp.MustCompile(`(?i)^<` + thoughtName + `(?:\s[^<>\n]{0,80})?>`),
		func(n string) []string { return []string{"</" + n + ">"} },
	},
	{ // <|begin_of_thought|>, <|START_THINKING|>, <|think|>
		regexp.MustCompile(`(?i)^<\|(?:(?:begin|start)_(?:of_)?)?` + thoughtName + `\|>`),
		func(n string) []string {
			return []string{"<|end_of_" + n + "|>", "<|end_" + n + "|>", "<|/" + n + "|>", "</" + n + ">"}
		},
	},
	{ // Magistral
		regexp.MustCompile(`(?i)^\[(think|thinking|thought)\]`),
		func(n string) []string { return []string{"[/" + n + "]"} },
	},
	{ // Kimi
		regexp.MustCompile(`(?i)^◁` + thoughtName + `▷`),
		func(n string) []string { return []string{"◁/" + n + "▷"} },
	},
	{ // Gemma 4
		regexp.MustCompile(`(?i)^<\|channel>\s*(` + thoughtChannels + `)\b`),
		func(string) []string { return []string{"<channel|>"} },
	},
	{ // gpt-oss
		regexp.MustCompile(`(?i)^(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*(` + thoughtChannels + `)\b[^<]*(?:<\|(?:constrain\|>[^<]*<\|)?message\|>)?`),
		func(string) []string {
			return []string{"<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>"}
		},
	},
	{ // gpt-oss, its marks lost on the way
		regexp.MustCompile(`^(analysis)[A-Z"“'*(]`),
		func(string) []string { return []string{"assistantfinal", "assistant final"} },
	},
	{ // Apertus
		regexp.MustCompile(`(?i)^(<\|inner_prefix\|>)`),
		func(string) []string { return []string{"<|inner_suffix|>"} },
	},
	{ // Granite
		regexp.MustCompile(`(?i)^(here is my thought process:)`),
		func(string) []string { return []string{"here is my response:"} },
	},
}

const thoughtChannels = `analysis|commentary|thoughts?|thinking|reasoning`

var (
	// anyEnd is the end of thoughts whose beginning the chat template wrote.
	anyEnd = regexp.MustCompile(`(?i)</` + thoughtName + `>|<\|end_(?:of_)?` + thoughtName + `\|>|<\|/` + thoughtName + `\|>|\[/(?:think|thinking|thought)\]|◁/` + thoughtName + `▷|<channel\|>|<\|inner_suffix\|>|\[begin final response\]`)
	// anyOpen is a beginning anywhere in a text.
	anyOpen = regexp.MustCompile(`(?i)<` + thoughtName + `(?:\s[^<>\n]{0,80})?>|<\|(?:(?:begin|start)_(?:of_)?)?` + thoughtName + `\|>|\[(?:think|thinking|thought)\]|◁` + thoughtName + `▷|<\|channel>|<\|inner_prefix\|>`)
	// final is what stands between thoughts and an answer of gpt-oss, or before an
	// answer without thoughts.
	final = regexp.MustCompile(`(?i)^(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>`)
	// over ends an answer that follows thoughts.
	over = regexp.MustCompile(`(?i)\s*(?:<\|(?:return|end|call)\|>|\[end final response\])\s*$`)
	// wrap and unwrap are marks around an answer that follows thoughts.
	wrap   = regexp.MustCompile(`(?i)^(?:<answer>|<response>|<\|begin_of_solution\|>|<\|start_response\|>)\s*`)
	unwrap = regexp.MustCompile(`(?i)\s*(?:</answer>|</response>|<\|end_of_solution\|>|<\|end_response\|>)\s*$`)
	// partOfMark is a mark with more in it than its name, as far as it goes.
	partOfMark = regexp.MustCompile(`^<` + thoughtName + `\s[^<>\n]{0,80}$|^<\|(?:start|channel)\|?>(?:[^<]|<\|(?:channel|constrain)\|>)*(?:<\|?[a-z]*\|?)?$`)
	// partOfTag is any mark, as far as it goes.
	partOfTag = regexp.MustCompile(`^\s*(?:<[^>\n]{0,64}|\[[^\]\n]{0,64}|◁[^▷\n]{0,64})$`)
	// begins are the beginnings of thoughts, for what may become one.
	begins = []string{
		"<think>", "<thinking>", "<thought>", "<thoughts>", "<reasoning>", "<reason>", "<reflection>", "<scratchpad>", "<inner_monologue>",
		"<seed:think>", "<longcat_think>", "<|channel", "<|start|>", "<|think", "<|begin_of_thought|>", "<|start_thinking|>",
		"<|start_of_thought|>", "<|inner_prefix|>", "[think]", "[thinking]", "[thought]", "◁think▷", "analysis", "here is my thought process:",
	}
)

// Thoughts parts the answer of a model from what it thought before: what stands
// between marks such as <think> and </think>, [THINK] or the analysis channel of
// gpt-oss at the beginning of a text, or before a closing mark whose opening one
// the chat template had written. Marks within an answer stay, since it may be
// about them. closed is false where the thoughts do not end: the text is cut off
// within them and holds no answer.
func Thoughts(text string) (thoughts, answer string, closed bool) { return parted(text, true) }

// parted is [Thoughts] of a text that may not be whole yet: what only seems to
// end a thought may be followed by its end.
func parted(text string, whole bool) (thoughts, answer string, closed bool) {
	var found []string
	rest := strings.TrimLeftFunc(text, unicode.IsSpace)
	for {
		thought, after, ok, ends := leading(rest, whole)
		if !ok {
			break
		}
		found = append(found, strings.TrimSpace(thought))
		if !ends {
			return strings.TrimSpace(strings.Join(found, "\n\n")), "", false
		}
		rest = strings.TrimLeftFunc(after, unicode.IsSpace)
	}
	if found == nil {
		if m := loneEnd(text); m != nil {
			found = append(found, strings.TrimSpace(text[:m[0]]))
			rest = strings.TrimLeftFunc(text[m[1]:], unicode.IsSpace)
		}
	}
	if m := final.FindString(rest); m != "" {
		found = append(found, "")
		rest = strings.TrimLeftFunc(rest[len(m):], unicode.IsSpace)
	}
	if found == nil {
		return "", text, true
	}
	if m := wrap.FindString(rest); m != "" {
		if rest = rest[len(m):]; whole {
			rest = unwrap.ReplaceAllString(rest, "")
		}
	}
	if whole {
		rest = over.ReplaceAllString(rest, "")
	}
	return strings.TrimSpace(strings.Join(found, "\n\n")), rest, true
}

// leading parts the thought that a text begins with, if it does.
func leading(text string, whole bool) (thought, after string, ok, ends bool) {
	for _, o := range opening {
		m := o.open.FindStringSubmatchIndex(text)
		if m == nil {
			continue
		}
		from, lower := m[1], asciiLower(text)
		if text[m[2]:m[3]] == "analysis" && m[0] == m[2] {
			from = m[3] // the letter after it is the thought's
		}
		at, n, talked := endOf(text, lower, from, o.ends(lower[m[2]:m[3]]))
		if at < 0 || talked {
			// Some models open with one name and close with another.
			for _, e := range anyEnd.FindAllStringIndex(text[from:], -1) {
				if !mention(text, from+e[0], from+e[1]) {
					at, n, talked = from+e[0], e[1]-e[0], false
					break
				}
			}
		}
		if at < 0 || talked && !whole {
			return text[from:], "", true, false
		}
		at, n = outermost(text, from, at, n)
		if strings.HasPrefix(lower[at:], "<|start|>") || strings.HasPrefix(lower[at:], "<|channel|>") {
			n = 0 // which opens what comes next
		}
		return text[from:at], text[at+n:], true, true
	}
	return "", "", false, false
}

// outermost is the end of the thought that another one within it does not end: each
// beginning inside takes an end of its own, as far as there are any.
func outermost(text string, from, at, n int) (int, int) {
	within := text[from:at]
	for range anyOpen.FindAllStringIndex(within, -1) {
		next := at + n
		for _, e := range anyEnd.FindAllStringIndex(text[next:], -1) {
			if !mention(text, next+e[0], next+e[1]) {
				at, n = next+e[0], e[1]-e[0]
				break
			}
		}
	}
	return at, n
}

// endOf finds the first of the marks that is not only talked about, else the
// first of them; -1 if there is none.
func endOf(text, lower string, from int, marks []string) (at, n int, talked bool) {
	at, talked = -1, true
	for _, m := range marks {
		for i := from; ; i += len(m) {
			k := strings.Index(lower[i:], m)
			if k < 0 {
				break
			}
			i += k
			about := mention(text, i, i+len(m))
			if at < 0 || talked && !about || talked == about && i < at {
				at, n, talked = i, len(m), about
			}
			if !about {
				break
			}
		}
	}
	return at, n, talked
}

// loneEnd finds the end of thoughts without a beginning; nil where there is
// none, or the text is about such marks.
func loneEnd(text string) []int {
	m := anyEnd.FindStringIndex(text)
	if m == nil || mention(text, m[0], m[1]) || strings.Count(text[:m[0]], "```")%2 == 1 {
		return nil
	}
	if o := anyOpen.FindStringIndex(text); o != nil && o[0] < m[0] {
		return nil
	}
	return m[:2]
}

// mention tells that the mark in text[i:j] is talked about: it is quoted, or
// stands as a word within a sentence.
func mention(text string, i, j int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:i])
	after, _ := utf8.DecodeRuneInString(text[j:])
	switch {
	case i == 0 || before == '\n':
		return false
	case strings.ContainsRune("`\"'“‘«(", before) && strings.ContainsRune("`\"'”’»)", after), strings.ContainsRune("`.,;:!?)", after):
		return true
	case !unicode.IsSpace(before), !strings.Contains(text[i:j], "/"): // nobody writes <|end|> in a sentence
		return false
	}
	said := strings.TrimRightFunc(text[:i], func(r rune) bool { return unicode.IsSpace(r) && r != '\n' })
	last, _ := utf8.DecodeLastRuneInString(said)
	return said != "" && !strings.ContainsRune(".!?…。！？\n", last)
}

// mayThink tells that a text, as far as it goes, may become the beginning of a
// thought.
func mayThink(text string) bool {
	text = asciiLower(strings.TrimLeftFunc(text, unicode.IsSpace))
	if partOfMark.MatchString(text) {
		return true
	}
	return slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(b, text) })
}

// cutInMark tells that an answer was cut off within the mark that begins a
// thought.
func cutInMark(text string) bool {
	text = strings.TrimSpace(text)
	marked := strings.HasPrefix(text, "<") || strings.HasPrefix(text, "[") || strings.HasPrefix(text, "◁")
	return mayThink(text) && (marked && len(text) >= 3 || text == "analysis")
}

// asciiLower is the text with its ASCII letters in lower case; every byte stays
// in its place.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Settle takes the thoughts off a reply as a server gave it, and reads its tokens
// from the answer on. It gives an [Error] where there are thoughts and no answer;
// [Client.Chat] has settled its replies, those that were kept by earlier versions
// may need it.
func (r *Reply) Settle() error {
	if err := r.settle(false); err != nil {
		return err
	}
	return nil
}

func (r *Reply) settle(mustThink bool) *Error {
	text := r.Text
	thoughts, answer, closed := Thoughts(text)
	if r.Truncated && cutInMark(answer) {
		answer, closed = "", false
	}
	r.Text = answer
	if thoughts != "" {
		r.Thinking = strings.TrimSpace(r.Thinking + "\n\n" + thoughts)
	}
	if strings.TrimSpace(answer) == "" && (answer != text || r.Thinking != "") {
		e := &Error{
			Kind: KindThinking,
			Err:  errors.New("the model spent its tokens on thinking and gave no answer"),
			Hint: "switch its thinking off where the model is served (llama-server --reasoning-budget 0, enable_thinking false in vLLM's chat template), or use a model that does not think",
		}
		switch {
		case !closed && !r.Truncated:
			e.Err = errors.New("the model's answer is one thought that does not end")
		case r.OutputTokens > 0:
			e.Err = fmt.Errorf("the model spent its %d tokens on thinking and gave no answer", r.OutputTokens)
		}
		return e
	}
	if r.Thinking != "" || answer != text || mustThink {
		r.Tokens = align(r.Tokens, answer)
	}
	return nil
}

// withoutThoughts makes a listener that hears what a model says and not what it
// thinks first; end gives it what is left when the answer is whole. A thought
// without an opening mark is known only by its end: what came before that was
// heard. An empty piece stands for a new attempt.
func withoutThoughts(hear func(string)) (take, end func(string)) {
	var held strings.Builder
	passing := false
	end = func(text string) {
		if !passing && text != "" {
			hear(text)
		}
		passing = true
	}
	take = func(piece string) {
		switch {
		case piece == "":
			held.Reset()
			passing = false
			hear("")
		case passing:
			hear(piece)
		default:
			held.WriteString(piece)
			if _, answer, closed := parted(held.String(), false); closed && !mayThink(answer) && !partOfTag.MatchString(answer) {
				end(answer)
			}
		}
	}
	return take, end
}
