package web

import (
	"regexp"
	"strings"

	"cai/dataset"
)

// template is how a chat template marks turns. Header matches the beginning of a
// turn, with the role's name in its first group; ends are what may close it.
type template struct {
	header *regexp.Regexp
	ends   []string
}

// templates are those in common use: ChatML, Llama 3, Gemma, Phi and Zephyr,
// harmony, HH's transcripts. Mistral's and Llama 2's, which mark the user's turns
// alone, are read by bracketed.
var templates = []template{
	{regexp.MustCompile(`<\|im_start\|>(system|user|assistant|tool)\n?`), []string{"<|im_end|>"}},
	{regexp.MustCompile(`<\|start_header_id\|>(system|user|assistant|tool|ipython)<\|end_header_id\|>\n*`), []string{"<|eot_id|>", "<|eom_id|>"}},
	{regexp.MustCompile(`<start_of_turn>(system|user|model)\n?`), []string{"<end_of_turn>"}},
	{regexp.MustCompile(`<\|start\|>(system|developer|user|assistant)(?:<\|channel\|>final)?<\|message\|>`), []string{"<|end|>", "<|return|>"}},
	{regexp.MustCompile(`<\|(system|user|assistant|tool)\|>\n?`), []string{"<|end|>", "</s>", "<|eot|>"}},
	{regexp.MustCompile(`(?:^|\n\n)(Human|Assistant): ?`), nil},
}

// around are tokens that stand before and after texts in any template.
var around = []string{
	"<s>", "</s>", "<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>", "<bos>", "<eos>", "<pad>", "<|eot_id|>", "<|im_end|>",
	"<end_of_turn>", "<|end|>", "<|return|>", "<unk>",
}

var roleNames = map[string]string{
	"system": "system", "developer": "system", "user": "user", "Human": "user", "tool": "tool", "ipython": "tool",
	"assistant": "assistant", "model": "assistant", "Assistant": "assistant",
}

// parseChat reads a text that a chat template made. It reports false for one
// without marks of any template.
func parseChat(text string) (dataset.Conversation, bool) {
	text = trimTokens(text)
	for _, t := range templates {
		at := t.header.FindAllStringSubmatchIndex(text, -1)
		if len(at) == 0 {
			continue
		}
		var c dataset.Conversation
		for i, m := range at {
			end := len(text)
			if i+1 < len(at) {
				end = at[i+1][0]
			}
			body := text[m[1]:end]
			for _, e := range t.ends {
				body, _, _ = strings.Cut(body, e)
			}
			c = append(c, dataset.Message{Role: roleNames[text[m[2]:m[3]]], Content: trimTokens(body)})
		}
		return c, true
	}
	return bracketed(text)
}

// bracketed reads "[INST] user [/INST] assistant", with a system text in <<SYS>>.
func bracketed(text string) (dataset.Conversation, bool) {
	_, rest, ok := strings.Cut(text, "[INST]")
	if !ok {
		return nil, false
	}
	var c dataset.Conversation
	for turn := range strings.SplitSeq(rest, "[INST]") {
		user, reply, answered := strings.Cut(turn, "[/INST]")
		if system, after, ok := strings.Cut(user, "<</SYS>>"); ok && len(c) == 0 {
			_, system, _ = strings.Cut(system, "<<SYS>>")
			c = append(c, dataset.Message{Role: "system", Content: strings.TrimSpace(system)})
			user = after
		}
		c = append(c, dataset.Message{Role: "user", Content: strings.TrimSpace(user)})
		if answered {
			c = append(c, dataset.Message{Role: "assistant", Content: trimTokens(strings.TrimSpace(reply))})
		}
	}
	return c, true
}

// trimTokens takes the tokens around a text away, and the blanks with them.
func trimTokens(s string) string {
	for cut := true; cut; {
		cut = false
		for _, t := range around {
			if rest, ok := strings.CutSuffix(strings.TrimRight(s, " \n"), t); ok {
				s, cut = strings.TrimRight(rest, " \n"), true
			}
			if rest, ok := strings.CutPrefix(strings.TrimLeft(s, " \n"), t); ok {
				s, cut = strings.TrimLeft(rest, " \n"), true
			}
		}
	}
	return s
}

// split makes of a templated text the conversation and the reply at its end. A
// text without marks is a reply to nothing known.
func split(text string) (dataset.Conversation, string) {
	c, ok := parseChat(text)
	if !ok {
		return nil, trimTokens(text)
	}
	if last := len(c) - 1; last >= 0 && c[last].Role == "assistant" {
		return c[:last], c[last].Content
	}
	return c, ""
}

// splitAfter takes the reply from a text that begins with its prompt, as OpenRLHF
// sends both. Where it does not begin so, its marks decide.
func splitAfter(text, prompt string) (dataset.Conversation, string) {
	reply, ok := strings.CutPrefix(text, prompt)
	if !ok || prompt == "" {
		return split(text)
	}
	c, ok := parseChat(prompt)
	if !ok {
		c = dataset.Prompt(prompt)
	} else if last := len(c) - 1; last >= 0 && c[last].Role == "assistant" && c[last].Content == "" {
		c = c[:last] // the header that the reply follows
	}
	return c, trimTokens(reply)
}
