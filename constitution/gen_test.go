package constitution_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"cai/constitution"
)

// parse reads TOML that a test needs to be right.
func parse(t interface{ Fatalf(string, ...any) }, text string) *constitution.Constitution {
	c, err := constitution.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// bare is a constitution without what depends on its file.
func bare(c *constitution.Constitution) constitution.Constitution {
	out := *c
	out.File = ""
	out.Principles = append([]constitution.Principle(nil), c.Principles...)
	for i := range out.Principles {
		out.Principles[i].Line = 0
	}
	return out
}

// text draws texts full of what is special in TOML.
func text(oneLine bool) *rapid.Generator[string] {
	pieces := []string{
		"a", "reply", "Zürich", "日本", "😀", " ", "  ", `"`, `""`, `"""`, `'`, `'''`, `\`, `\\`, `\n`, "#", "[[principle]]", "=", "{", "}", "[", "]",
		"\t", ",", ".", "<|im_end|>", "Which reply is more truthful? ", "a rather long run of words that has to be wrapped somewhere ", "\u00a0", "\u200b", "\ufeff",
	}
	if !oneLine {
		pieces = append(pieces, "\n", "\n\n", "\n  ", " \n", "\\\n")
	}
	return rapid.Custom(func(t *rapid.T) string {
		s := strings.TrimSpace("x" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces"), ""))
		return s
	})
}

// constitutions draws what Parse can give.
func constitutions() *rapid.Generator[*constitution.Constitution] {
	return rapid.Custom(func(t *rapid.T) *constitution.Constitution {
		c := &constitution.Constitution{}
		if rapid.Bool().Draw(t, "named") {
			c.Name, c.Description = clip(text(true).Draw(t, "name")), text(false).Draw(t, "description")
		}
		for i := range rapid.IntRange(1, 5).Draw(t, "n") {
			p := constitution.Principle{
				ID:       fmt.Sprintf("%s%d", rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9._-]{0,8}-`).Draw(t, "id"), i),
				Title:    clip(text(true).Draw(t, "title")),
				Critique: text(false).Draw(t, "critique") + fmt.Sprint(i),
				Revision: text(false).Draw(t, "revision"),
				Compare:  text(false).Draw(t, "compare"),
				Weight:   rapid.OneOf(rapid.Just(1.0), rapid.Float64Range(0.001, 1000)).Draw(t, "weight"),
				Tags:     rapid.SliceOfDistinct(rapid.StringMatching(`[a-z][a-z-]{0,5}`), rapid.ID[string]).Draw(t, "tags"),
			}
			if len(p.Tags) == 0 {
				p.Tags = nil
			}
			if rapid.Bool().Draw(t, "checked") {
				p.Check = text(false).Draw(t, "check")
			}
			c.Principles = append(c.Principles, p)
		}
		return c
	})
}

// clip keeps a title within its limit.
func clip(s string) string {
	for len(s) > 200 {
		r := []rune(s)
		s = strings.TrimSpace(string(r[:len(r)-1]))
	}
	return s
}
