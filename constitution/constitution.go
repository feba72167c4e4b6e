// Package constitution holds the principles that feedback is given by.
//
// A [Constitution] is a list of principles in a TOML file that people edit. A
// [Principle] says how to criticise a reply, how to revise it and how to
// compare two replies. Each has a content hash over the texts that a model
// sees, so that a judgment can name exactly what it was made by: a comment, a
// new id, a new weight or another order of the file changes no hash, and an
// edited question asks only that question again.
//
// Write the comparison as a short, positive question with one idea in it
// ("Which reply is more truthful?"): it is the last thing that the judge reads,
// and a negated or a double one leaves a small model at chance.
// [Constitution.Lint] finds what breaks that rule, and more.
package constitution

// Principle is one rule of a constitution.
type Principle struct {
	ID    string `toml:"id"`
	Title string `toml:"title"`
	// Critique asks what is wrong with a reply.
	Critique string `toml:"critique"`
	// Revision asks for a better reply.
	Revision string `toml:"revision"`
	// Compare is a short, positive question over two replies:
	// "Which reply is …?".
	Compare string `toml:"compare"`
	// Check is an optional yes-or-no question over one reply, to which yes is
	// good; empty means that it is made from the title. Callers ask Question.
	Check  string   `toml:"check"`
	Tags   []string `toml:"tags"`
	Weight float64  `toml:"weight"` // over 0; 1 where the file gives none
	Line   int      `toml:"-"`      // in the file, from 1; 0 where unknown
}

// Constitution is a named list of principles.
type Constitution struct {
	Name        string      `toml:"name"`
	Description string      `toml:"description"`
	Principles  []Principle `toml:"principle"`
	File        string      `toml:"-"` // where it was read, as messages name it
}
