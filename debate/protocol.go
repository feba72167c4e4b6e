package debate

import (
	"fmt"
	"strings"
)

// The protocols.
const (
	// Simultaneous has both sides speak in each round without hearing what the
	// other says in it.
	Simultaneous = "simultaneous"
	// Sequential has debater B hear what debater A has just said.
	Sequential = "sequential"
	// Consultancy has one consultant, who argues for the reply in slot (A): for
	// each of the two in one order. The position bias is then mostly how far the
	// judge follows the one that it hears.
	Consultancy = "consultancy"
	// Blind shows the judge the prompt, and no word of the replies or about them.
	// Both orders are the same prompt, so z is 0 and every label a tie: the floor
	// that a debate has to rise above, and the judge's bare liking for a letter.
	Blind = "blind"
	// Full shows the judge both replies and holds no debate: the prompt is that
	// of [judge.ModeToken]. It is what a debate may come up to.
	Full = "full"
)

type protocol struct {
	name  string
	about string
	sides []string // who speaks in a round, in their order; none holds no debate
	// blindfold keeps what is said in a round from those who speak in it.
	blindfold bool
	speaker   string // what a side is called; %s is its letter
	intro     string // what the judge is told
}

const (
	sideA, sideB = "A", "B"

	unseen = "Two replies to this were written, A and B. They are not shown to you."
	marks  = `A quotation that stands word for word in the text is marked [verified], any other [not in the text].`
)

var protocols = []protocol{
	{
		name: Sequential, about: "in each round B answers what A has just said (the default)",
		sides: []string{sideA, sideB}, speaker: "Debater %s", intro: debateIntro,
	},
	{
		name: Simultaneous, about: "in each round both speak without hearing each other",
		sides: []string{sideA, sideB}, blindfold: true, speaker: "Debater %s", intro: debateIntro,
	},
	{
		name: Consultancy, about: "one consultant, for the one reply in one order and for the other in the other",
		sides: []string{sideA}, speaker: "Consultant for %s",
		intro: unseen + " A consultant who has read both argues for reply A, whether it is the better one or not. " + marks,
	},
	{name: Blind, about: "no debate, and the judge sees only the prompt: the floor", intro: unseen},
	{name: Full, about: "no debate, and the judge sees both replies, as in cai label"},
}

const debateIntro = unseen + " Two debaters have read both: debater A argues for reply A, debater B for reply B. " + marks

// Protocols lists the names of the protocols, the default first.
func Protocols() []string {
	names := make([]string, len(protocols))
	for i := range protocols {
		names[i] = protocols[i].name
	}
	return names
}

// About says in a few words what a protocol is.
func About(name string) string {
	p, err := parseProtocol(name)
	if err != nil {
		return ""
	}
	return p.about
}

// parseProtocol finds a protocol by its name; "" is the default.
func parseProtocol(name string) (*protocol, error) {
	if name == "" {
		return &protocols[0], nil
	}
	for i := range protocols {
		if protocols[i].name == name {
			return &protocols[i], nil
		}
	}
	return nil, fmt.Errorf("protocol %q is not known: use %s", name, strings.Join(Protocols(), ", "))
}
