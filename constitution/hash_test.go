package constitution_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/constitution"
)

// A judgment is tied to the texts that the model saw and to nothing else.
func TestPrincipleHash(t *testing.T) {
	base := constitution.Principle{ID: "a", Title: "T", Critique: "c", Revision: "r", Compare: "q", Check: "k", Tags: []string{"x"}, Weight: 1, Line: 3}
	for name, tc := range map[string]struct {
		change func(*constitution.Principle)
		same   bool
	}{
		"id":           {func(p *constitution.Principle) { p.ID = "b" }, true},
		"title":        {func(p *constitution.Principle) { p.Title = "U" }, true},
		"tags":         {func(p *constitution.Principle) { p.Tags = nil }, true},
		"weight":       {func(p *constitution.Principle) { p.Weight = 2 }, true},
		"line":         {func(p *constitution.Principle) { p.Line = 9 }, true},
		"blanks":       {func(p *constitution.Principle) { p.Critique, p.Check = " c\n", "k " }, true},
		"critique":     {func(p *constitution.Principle) { p.Critique = "d" }, false},
		"revision":     {func(p *constitution.Principle) { p.Revision = "d" }, false},
		"compare":      {func(p *constitution.Principle) { p.Compare = "d" }, false},
		"check":        {func(p *constitution.Principle) { p.Check = "d" }, false},
		"no check":     {func(p *constitution.Principle) { p.Check = "" }, false},
		"moved border": {func(p *constitution.Principle) { p.Critique, p.Revision = "cr", "" }, false},
		"swapped":      {func(p *constitution.Principle) { p.Critique, p.Revision = "r", "c" }, false},
	} {
		p := base
		tc.change(&p)
		if (p.Hash() == base.Hash()) != tc.same {
			t.Errorf("%s: same hash %v, want %v", name, !tc.same, tc.same)
		}
	}
	a, b := base, base
	a.Check, b.Check, b.Title = "", "", "U"
	if a.Hash() == b.Hash() {
		t.Error("the title counts where the question is made from it")
	}
	// Stored judgments refer to these bytes for ever.
	if got := fmt.Sprintf("%x", base.Hash()); got != "895e3233f86b816011e075735414c0ad" {
		t.Errorf("the hash of the texts has become %s: stored judgments would be asked again", got)
	}
}

func TestQuestion(t *testing.T) {
	for _, tc := range []struct{ title, check, want string }{
		{"Truthful", " Is it true? ", "Is it true?"},
		{"Truthful.", "", "Does the reply keep to this principle: Truthful?"},
		{" Is it true? ", " ", "Does the reply keep to this principle: Is it true?"},
	} {
		p := constitution.Principle{Title: tc.title, Check: tc.check}
		if got := p.Question(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

// The order of principles, comments and what people read change no hash; what
// labels depend on does.
func TestConstitutionHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := constitutions().Draw(t, "constitution")
		same := bare(c)
		same.Name, same.Description = "another", "another"
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		rng.Shuffle(len(same.Principles), func(i, j int) {
			same.Principles[i], same.Principles[j] = same.Principles[j], same.Principles[i]
		})
		for i := range same.Principles {
			same.Principles[i].Tags = []string{"other"}
		}
		commented := "# a comment\n" + strings.ReplaceAll(string(same.TOML()), "weight = ", "  # weight = 9\n  weight   =   ")
		if got := parse(t, commented); got.Hash() != c.Hash() {
			t.Fatalf("another hash\n%s", commented)
		}
		i := rapid.IntRange(0, len(c.Principles)-1).Draw(t, "i")
		for name, change := range map[string]func(*constitution.Principle){
			"id":      func(p *constitution.Principle) { p.ID += "x" },
			"weight":  func(p *constitution.Principle) { p.Weight /= 2 },
			"compare": func(p *constitution.Principle) { p.Compare += "x" },
		} {
			other := bare(c)
			change(&other.Principles[i])
			if other.Hash() == c.Hash() {
				t.Fatalf("a changed %s leaves the hash", name)
			}
		}
		fewer := bare(c)
		fewer.Principles = fewer.Principles[:len(fewer.Principles)-1]
		if fewer.Hash() == c.Hash() {
			t.Fatal("a missing principle leaves the hash")
		}
	})
}
