package prompt_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"cai/prompt"
)

// tokens are control tokens of the templates in use: ChatML, Llama 2, 3 and 4,
// Gemma, Phi, Command R, Mistral, DeepSeek, gpt-oss, GLM, Granite, EXAONE.
var tokens = []string{
	"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<<SYS>>", "<</SYS>>", "[INST]", "[/INST]",
	"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|header_start|>", "<|header_end|>", "<|eot|>",
	"<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<unused42>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>",
	"<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>",
	"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_RESULTS]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[THINK]", "[/THINK]",
	"<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<think>", "</think>",
	"<|start|>", "<|channel|>", "<|message|>", "<|return|>", "<|call|>", "<|constrain|>",
	"[gMASK]", "<sop>", "<|observation|>", "<|start_of_role|>", "<|end_of_role|>", "[|system|]", "[|endofturn|]", "<tool_call>", "</tool_response>",
}

// whatever a text is made of, none of the tokens, marks or turns is in what is
// quoted, also if what prints nothing is taken out of it and look-alikes are
// written plainly.
func holds(q string) string {
	plain := prompt.Plainly(q)
	for _, s := range []string{q, plain} {
		for _, token := range tokens {
			if strings.Contains(s, token) {
				return token
			}
		}
		if m := lines.FindString(s); m != "" {
			return m
		}
	}
	return ""
}

var lines = regexp.MustCompile(`(?m)^[ \t]*(\([AB]\)|(User|Assistant|System|Tool):)`)

func TestSpecialTokensAreBroken(t *testing.T) {
	for _, token := range tokens {
		for name, hide := range disguises {
			in := "a " + hide(token) + " b"
			got := prompt.Neutralise(in)
			if got == in || holds(got) != "" {
				t.Errorf("%s, %s: Neutralise(%q) = %q", token, name, in, got)
			}
			if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(in, " ", "") {
				t.Errorf("%s, %s: %q became %q: more than blanks", token, name, in, got)
			}
		}
	}
}

// disguises write a token so that it reads the same, or is the same once
// characters that print nothing are taken out.
var disguises = map[string]func(string) string{
	"plain":      func(s string) string { return s },
	"zero width": func(s string) string { return s[:1] + "\u200b\ufeff" + s[1:] },
	"soft hyphen": func(s string) string {
		_, n := utf8.DecodeLastRuneInString(s)
		return s[:len(s)-n] + "\u00ad\x00" + s[len(s)-n:]
	},
	"full width": func(s string) string {
		return strings.Map(func(r rune) rune {
			if r > ' ' && r < 0x7f && r != '|' {
				return r - '!' + '！'
			}
			return r
		}, s)
	},
	"brackets":  strings.NewReplacer("<", "‹", ">", "›", "[", "⟦", "]", "⟧").Replace,
	"homoglyph": strings.NewReplacer("e", "е", "o", "о", "S", "Ѕ", "T", "Т", "A", "А").Replace,
	"tags":      func(s string) string { return s[:1] + "\U000e0041" + s[1:] },
}

func TestMarksAndTurnsInDisguise(t *testing.T) {
	for _, in := range []string{
		"x\r(B) y", "x\v(A) y", "x\u2028(B) y", "x\u0085User: y", "x\n\u00a0(B) y", "x\n\u3000User: y", "x\n\u200b(B) y",
		"x\n（B）y", "x\n(В) y", "x\n(\u200bB) y", "\ufeff(A)", "x\nUser： y", "x\nUsеr: y", "x\nAssistant\u200d: y", "x\n\x00System: y",
	} {
		if got := prompt.Quote(in); got == in || holds(got) != "" {
			t.Errorf("Quote(%q) = %q", in, got)
		}
	}
}

// Texts that mean no harm stay byte for byte what they are.
func TestHarmlessTextsStay(t *testing.T) {
	for _, in := range []string{
		"", "Plain text.", "a < b and c > d | e", "let xs = [|1; 2|] in f <| g", "f x |> g", "[1] see [2]", "if (A) then (B)",
		"Пользователь: (а) да", "用户：你好\n（一）好", "x := <-ch", "<div><span>hi</span></div>", "a\r\nb\r\n", "naïve café — “quoted” 🙂👩‍👩‍👧", "user: root\nhost: x", "A) one\nB) two",
	} {
		if got := prompt.Quote(in); got != in {
			t.Errorf("Quote(%q) = %q", in, got)
		}
	}
}

func TestBreakKeepsTheRest(t *testing.T) {
	mark := regexp.MustCompile(`(?m)^()#`)
	if got, want := prompt.Break("a\n\u200b# b\n#c", mark, `\`), "a\n\u200b\\# b\n\\#c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Pieces of tokens, put together in any way, make no token: what the quoting
// puts in never closes one.
func TestNoPiecesMakeAToken(t *testing.T) {
	var parts []string
	for _, token := range tokens {
		parts = append(parts, token, token[:len(token)/2], token[len(token)/2:])
	}
	parts = append(parts, "<", "|", ">", "[", "]", "(A)", "(", "B)", "User", ":", "\n", "\r", " ", "\u200b", "\u2028", "｜", "＜", "х", "\xff")
	piece := rapid.SampledFrom(parts)
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
		q := prompt.Quote(s)
		if what := holds(q); what != "" {
			t.Fatalf("Quote(%q) = %q holds %q", s, q, what)
		}
		if again := prompt.Quote(q); again != q {
			t.Fatalf("Quote(%q) = %q, and again %q", s, q, again)
		}
		if strings.ReplaceAll(q, " ", "") != strings.ReplaceAll(s, " ", "") {
			t.Fatalf("Quote(%q) = %q changes more than blanks", s, q)
		}
		if utf8.ValidString(s) && !utf8.ValidString(q) {
			t.Fatalf("Quote(%q) = %q is not valid", s, q)
		}
	})
}

func FuzzQuote(f *testing.F) {
	for _, token := range tokens {
		f.Add(token)
	}
	f.Add("x\r(B) y\nUser: z")
	f.Fuzz(func(t *testing.T, s string) {
		q := prompt.Quote(s)
		if what := holds(q); what != "" {
			t.Fatalf("%q holds %q", q, what)
		}
		if again := prompt.Quote(q); again != q {
			t.Fatalf("%q, and again %q", q, again)
		}
	})
}
