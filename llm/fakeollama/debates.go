package fakeollama

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	argueOnly = "Write only the argument"
	unseen    = "Two replies to this were written, A and B. They are not shown to you."
)

var (
	argues = regexp.MustCompile(`argue that it is reply \(([AB])\)`)
	spoke  = regexp.MustCompile(`(?m)^(?:Debater|Consultant for) ([AB]), round \d+: (.*)$`)
)

// argue gives the argument of a side: it quotes the first words of its reply.
func argue(p string) (string, bool) {
	m := argues.FindStringSubmatch(p)
	if m == nil {
		return "", false
	}
	_, reply, ok := strings.Cut("\n"+p, "\n("+m[1]+") ")
	if !ok {
		return "", false
	}
	reply, _, _ = strings.Cut(reply, "\n\n")
	words := strings.Fields(reply)
	if len(words) == 0 {
		return fmt.Sprintf("Reply %s says little, and that is better.", m[1]), true
	}
	return fmt.Sprintf("Reply %s is the better one, for it says <quote>%s</quote>.", m[1], strings.Join(words[:min(8, len(words))], " ")), true
}

// hear gives the log-odds of (A) in a debate, from what is said of each side.
func (o *Options) hear(p string) (float64, bool) {
	if !strings.Contains(p, unseen) {
		return 0, false
	}
	z := 0.0
	for _, m := range spoke.FindAllStringSubmatch(p, -1) {
		if m[1] == "A" {
			z += o.Quality(m[2])
		} else {
			z -= o.Quality(m[2])
		}
	}
	return z, true
}
