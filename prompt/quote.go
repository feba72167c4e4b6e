package prompt

import (
	"regexp"
	"slices"
	"strings"
)

// special are the control tokens of the chat templates in common use, which
// tokenizers recognise inside ordinary text: <|…|> of ChatML, Llama 3 and 4, Phi,
// Command R, Granite and gpt-oss, <｜…｜> of DeepSeek, and the words of Llama 2,
// Mistral, Gemma, GLM and EXAONE.
var special = regexp.MustCompile(`^(?:<(?:[|｜][^|｜<>\s]{1,60}[|｜]>|｜[^｜<>]{1,60}｜>|/?s>|/?think>|/?tool_(?:call|response)>|bos>|eos>|pad>|unk>|sep>|mask>|[es]op>|eo[adhms]>|` +
	`(?:start|end)_of_(?:turn|image|audio)>|(?:start|end)_header_id>|eot_id>|(?:BOS|EOS|EOP|PAD|UNK|CLS|SEP|MASK)_TOKEN>|` +
	`(?:fim|file)_(?:prefix|suffix|middle|pad|sep)>|(?:unused|reserved_|extra_id_|SPECIAL_)\d{1,6}>|<SYS>>|</SYS>>)|` +
	`\[(?:/?INST\]|/?SYSTEM_PROMPT\]|/?AVAILABLE_TOOLS\]|/?TOOL_(?:CALLS|RESULTS|CONTENT)\]|/?THINK\]|/?MODEL_SETTINGS\]|ARGS\]|CALL_ID\]|` +
	`IMG(?:_BREAK|_END)?\]|(?:BEGIN_)?AUDIO\]|PREFIX\]|MIDDLE\]|SUFFIX\]|g?MASK\]|\|[A-Za-z_]{1,40}\|\]))`)

// longestToken bounds a special token in bytes.
const longestToken = 256

// specials finds the special tokens of a text: the places after their first
// characters.
func specials(text string) (at []int) {
	for i := 0; ; {
		k := strings.IndexAny(text[i:], "<[")
		if k < 0 {
			return at
		}
		i += k
		i++
		if special.MatchString(text[i-1 : min(len(text), i+longestToken)]) { // also within another one
			at = append(at, i)
		}
	}
}

// frames finds the lines of a text that begin like a reply or a turn: the places
// within their marks.
func frames(text string) (at []int) {
	for start := 0; ; {
		line := strings.TrimLeft(text[start:], " \t")
		i := len(text) - len(line)
		if strings.HasPrefix(line, "(A)") || strings.HasPrefix(line, "(B)") {
			at = append(at, i+1)
		}
		for _, who := range speakers {
			if strings.HasPrefix(line, who) && strings.HasPrefix(line[len(who):], ":") {
				at = append(at, i+len(who))
			}
		}
		k := strings.IndexByte(line, '\n')
		if k < 0 {
			return at
		}
		start = i + k + 1
	}
}

var speakers = []string{"User", "Assistant", "System", "Tool"}

// Neutralise takes the meaning from special tokens by a blank after their
// first character.
func Neutralise(s string) string {
	f := fold(s)
	return f.insert(s, " ", specials(f.text))
}

// Quote makes a text safe to stand as a reply or a turn inside a prompt.
func Quote(s string) string {
	f := fold(s)
	at := append(specials(f.text), frames(f.text)...)
	slices.Sort(at)
	return f.insert(s, " ", at)
}

// Break puts insert into every place of a text where a pattern matches that it
// must not contain: where the pattern's empty group is. The pattern is matched
// against the text as [Plainly] gives it; what is put in must keep it from
// matching.
func Break(s string, pattern *regexp.Regexp, insert string) string {
	f := fold(s)
	var at []int
	for _, m := range pattern.FindAllStringSubmatchIndex(f.text, -1) {
		at = append(at, m[2])
	}
	return f.insert(s, insert, at)
}

// insert puts a text into places of another one, which are given in its folded
// form, ascending.
func (f folded) insert(s, insert string, at []int) string {
	if len(at) == 0 {
		return s
	}
	var b strings.Builder
	last := 0
	for _, i := range at {
		i = f.place(i)
		b.WriteString(s[last:i])
		b.WriteString(insert)
		last = i
	}
	b.WriteString(s[last:])
	return b.String()
}
