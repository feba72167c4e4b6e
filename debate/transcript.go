package debate

import (
	"encoding/json"
	"fmt"
)

// Transcript is what was said in a debate, as the judge saw it. It is stored as
// the rationale of the judgment, in JSON.
type Transcript struct {
	Protocol string `json:"protocol"`
	Turns    []Turn `json:"turns"` // empty where the protocol holds no debate
}

// Turn is what one side said in one round.
type Turn struct {
	Round int    `json:"round"` // from 1
	Side  string `json:"side"`  // A or B, the slot of the reply that it argues for
	// Text is one line. Its only square brackets are the marks: [verified] or
	// [not in the text] behind each quotation, and [cut] at the end of a turn that
	// was too long.
	Text   string  `json:"text"`
	Quotes []Quote `json:"quotes"`
	Cut    bool    `json:"cut,omitempty"`
}

// Quote is a quotation in a turn.
type Quote struct {
	Text     string `json:"text"`
	Verified bool   `json:"verified"` // it stands in one of the texts, word for word
	// In tells where: "A", "B", "A and B" or "prompt".
	In string `json:"in,omitempty"`
}

// ParseTranscript reads the rationale of a judgment.
func ParseTranscript(rationale string) (*Transcript, error) {
	t := &Transcript{}
	if err := json.Unmarshal([]byte(rationale), t); err != nil {
		return nil, fmt.Errorf("read the transcript of a debate: %w", err)
	}
	if _, err := parseProtocol(t.Protocol); err != nil || t.Protocol == "" {
		return nil, fmt.Errorf("read the transcript of a debate: protocol %q is not known", t.Protocol)
	}
	return t, nil
}

// Speaker gives what the side of a turn is called.
func (t *Transcript) Speaker(turn Turn) string {
	p, err := parseProtocol(t.Protocol)
	if err != nil || p.speaker == "" {
		return turn.Side
	}
	return fmt.Sprintf(p.speaker, turn.Side)
}

// Quotes counts the quotations of a debate and those that are verified.
func (t *Transcript) Quotes() (all, verified int) {
	for _, turn := range t.Turns {
		for _, q := range turn.Quotes {
			all++
			if q.Verified {
				verified++
			}
		}
	}
	return all, verified
}
