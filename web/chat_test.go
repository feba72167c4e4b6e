package web

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a client sends is read as some reply, and nothing is made up: each
// turn's text stands in what was sent.
func FuzzChat(f *testing.F) {
	f.Add("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>", "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
	f.Add("<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nhi [/INST] Hello</s>", "<s>[INST] hi [/INST]")
	f.Add("\n\nHuman: hi\n\nAssistant: Hello", "")
	f.Add("<start_of_turn>model\n</s></s><eos>", "\xff")
	f.Fuzz(func(t *testing.T, text, prompt string) {
		c, reply := splitAfter(text, prompt)
		if !strings.Contains(text, reply) {
			t.Errorf("the reply %q does not stand in %q", reply, text)
		}
		for _, m := range c {
			if !strings.Contains(text, m.Content) && !strings.Contains(prompt, m.Content) {
				t.Errorf("the turn %q stands nowhere", m.Content)
			}
			if m.Role != "system" && m.Role != "user" && m.Role != "assistant" && m.Role != "tool" {
				t.Errorf("role %q", m.Role)
			}
		}
		if utf8.ValidString(text) && !utf8.ValidString(reply) {
			t.Errorf("the reply %q is cut within a character", reply)
		}
	})
}
