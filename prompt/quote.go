package prompt

import (
	"regexp"
	"strings"
)

// Mark is a pattern of something that a quoted text must not contain, with an
// empty group where what breaks it is to be put. It is matched against the text
// as [Plainly] gives it. What is put in must keep the pattern from matching.
type Mark = regexp.Regexp

var (
	// special are the control tokens of the chat templates in common use, which
	// tokenizers recognise inside ordinary text: <|…|> of ChatML, Llama 3 and 4,
	// Phi, Command R, Granite and gpt-oss, <｜…｜> of DeepSeek, and the words of
	// Llama 2, Mistral, Gemma, GLM and EXAONE.
	special = regexp.MustCompile(`<()(?:[|｜][^|｜<>\s]{1,60}[|｜]>|｜[^｜<>]{1,60}｜>|/?s>|/?think>|/?tool_(?:call|response)>|bos>|eos>|pad>|unk>|sep>|mask>|[es]op>|eo[adhms]>|` +
		`(?:start|end)_of_(?:turn|image|audio)>|(?:start|end)_header_id>|eot_id>|(?:BOS|EOS|EOP|PAD|UNK|CLS|SEP|MASK)_TOKEN>|` +
		`(?:fim|file)_(?:prefix|suffix|middle|pad|sep)>|(?:unused|reserved_|extra_id_|SPECIAL_)\d{1,6}>|<SYS>>|</SYS>>)|` +
		`\[()(?:/?INST\]|/?SYSTEM_PROMPT\]|/?AVAILABLE_TOOLS\]|/?TOOL_(?:CALLS|RESULTS|CONTENT)\]|/?THINK\]|/?MODEL_SETTINGS\]|ARGS\]|CALL_ID\]|` +
		`IMG(?:_BREAK|_END)?\]|(?:BEGIN_)?AUDIO\]|PREFIX\]|MIDDLE\]|SUFFIX\]|g?MASK\]|\|[A-Za-z_]{1,40}\|\])`)
	option = regexp.MustCompile(`(?m)^[ \t]*\(()[AB]\)`)
	turn   = regexp.MustCompile(`(?m)^[ \t]*(?:User|Assistant|System|Tool)():`)
)

// Neutralise takes the meaning from special tokens by a blank after their
// first character.
func Neutralise(s string) string {
	if plain(s) && !strings.ContainsAny(s, "<[") {
		return s
	}
	return Break(s, special, " ")
}

// Quote makes a text safe to stand as a reply or a turn inside a prompt.
func Quote(s string) string {
	s = Neutralise(s)
	if !plain(s) || strings.Contains(s, "(A)") || strings.Contains(s, "(B)") {
		s = Break(s, option, " ")
	}
	if !plain(s) || strings.Contains(s, ":") {
		s = Break(s, turn, " ")
	}
	return s
}

// Break puts insert into every place of a text where the mark matches.
func Break(s string, mark *Mark, insert string) string {
	f := fold(s)
	found := mark.FindAllStringSubmatchIndex(f.text, -1)
	if found == nil {
		return s
	}
	var b strings.Builder
	last := 0
	for _, m := range found {
		for g := 2; g < len(m); g += 2 {
			if m[g] < 0 {
				continue
			}
			at := f.place(m[g])
			b.WriteString(s[last:at])
			b.WriteString(insert)
			last = at
			break
		}
	}
	b.WriteString(s[last:])
	return b.String()
}
