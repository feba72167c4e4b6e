// Package debate judges a pair of replies by a debate: models that have read
// both argue for one each, and the judge sees the prompt and what was said, but
// not the replies. What it knows of them comes from quotations, which are looked
// up word for word and marked for it.
//
// It is one more way to answer a [judge.Question], so that a debate is labelled,
// resumed, pooled and calibrated as any other judgment is. The reply in slot (A)
// is debater A's, so that the two orders of a pair are the two assignments of
// answers: who speaks first, and for what, changes sides with them, and the
// preference z = (s₁ − s₂)/2 is free of both.
//
// The protocols are those of Khan et al. (2024, arXiv 2402.06782) and Michael et
// al. (2023, arXiv 2311.08702), put to pairs of replies; see [Protocols].
package debate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"cai/dataset"
	"cai/judge"
	"cai/llm"
)

// Mode is the mode of a judge that hears a debate.
const Mode = "debate"

// The defaults of [Settings]. Temperature is that of Khan et al.
const (
	DefaultRounds      = 2
	DefaultWords       = 100
	DefaultTemperature = 0.4
)

// Debater writes the arguments of both sides.
type Debater interface {
	// Argue answers a request. asked is false where the answer was known from
	// before and no model was asked.
	Argue(ctx context.Context, r llm.Request) (reply *llm.Reply, asked bool, err error)
}

// Asking is a debater that asks a model each time.
func Asking(m llm.Chatter) Debater { return asking{m} }

type asking struct{ llm.Chatter }

func (a asking) Argue(ctx context.Context, r llm.Request) (*llm.Reply, bool, error) {
	reply, err := a.Chat(ctx, r)
	return reply, true, err
}

// Settings are how a debate is held. Zeros take the defaults.
type Settings struct {
	Protocol    string // one of [Protocols]
	Rounds      int    // turns of each side
	Words       int    // asked for in a turn; half as many again is the bound
	Temperature float64
	Seed        int
	// Votes over 0 samples as many answers of the judge, for servers that give no
	// log-probabilities.
	Votes int
	// Shape is the wording of the protocol Full.
	Shape judge.Shape
	// Options are those that change answers ([llm.AnswerOptions]).
	Options map[string]string
	// Debater tells which model argues; the zero value is the judge's own.
	Debater llm.Identity
}

// Judge holds debates and judges them.
type Judge struct {
	Model   llm.Chatter // who judges
	Debater Debater
	ID      dataset.Judge // as the store knows it

	protocol *protocol
	s        Settings
}

// New makes a judge of the model m, known as id. The protocol's words, the
// bounds of turns, the debaters' model, temperature and seed are part of its
// identity, as far as its protocol uses them.
func New(m llm.Chatter, id llm.Identity, d Debater, s Settings) (*Judge, error) {
	p, err := parseProtocol(s.Protocol)
	if err != nil {
		return nil, err
	}
	if s.Rounds < 0 || s.Words < 0 || s.Temperature < 0 || s.Votes < 0 {
		return nil, fmt.Errorf("a debate of %d rounds of %d words at temperature %g with %d votes cannot be held", s.Rounds, s.Words, s.Temperature, s.Votes)
	}
	if s.Rounds == 0 {
		s.Rounds = DefaultRounds
	}
	if s.Words == 0 {
		s.Words = DefaultWords
	}
	if s.Temperature == 0 {
		s.Temperature = DefaultTemperature
	}
	if s.Shape.Name == "" {
		s.Shape = judge.DefaultShape()
	}
	j := &Judge{Model: m, Debater: d, protocol: p, s: s}
	opts := maps.Clone(s.Options)
	if opts == nil {
		opts = map[string]string{}
	}
	opts["protocol"] = p.name
	if len(p.sides) > 0 {
		opts["rounds"] = strconv.Itoa(s.Rounds)
		opts["words"] = strconv.Itoa(s.Words)
		opts["debate_temperature"] = strconv.FormatFloat(s.Temperature, 'g', -1, 64)
		opts["seed"] = strconv.Itoa(s.Seed)
		if weights := weightsOf(s.Debater); weights != "" && weights != weightsOf(id) {
			opts["debater"] = weights
		}
	}
	if s.Votes > 0 {
		opts["votes"] = strconv.Itoa(s.Votes)
		opts["seed"] = strconv.Itoa(s.Seed)
	}
	j.ID = dataset.Judge{
		Backend: id.Backend, Model: id.Model, Digest: id.Digest,
		Template: j.TemplateHash().String(), Mode: Mode, Options: opts,
	}
	return j, nil
}

// weightsOf names a model's weights, by the model's name where nothing better is
// known.
func weightsOf(id llm.Identity) string {
	if id.Digest != "" || id.Model == "" {
		return id.Digest
	}
	return id.Backend + ":" + id.Model
}

// Settings gives how debates are held, the defaults filled in.
func (j *Judge) Settings() Settings {
	s := j.s
	s.Protocol = j.protocol.name
	return s
}

// Room is how many tokens a debate may add to the prompt that the pair makes.
func (j *Judge) Room() int {
	const answer, wording = 16, 256
	if len(j.protocol.sides) == 0 {
		return answer + wording/2
	}
	return answer + wording + j.s.Rounds*len(j.protocol.sides)*(j.turnTokens()+16)
}

// Calls gives how many calls a debate takes, 0 for a protocol that is not known.
func Calls(s Settings) int64 {
	p, err := parseProtocol(s.Protocol)
	if err != nil {
		return 0
	}
	return int64(s.Rounds*len(p.sides) + max(1, s.Votes))
}

// turnTokens bounds a turn: a token and a half for each word that may stand,
// and the tags of quotations. What the bound takes off a turn of long words is
// marked as cut.
func (j *Judge) turnTokens() int { return j.mostWords()*3/2 + 32 }

// mostWords is where a turn is cut.
func (j *Judge) mostWords() int { return (j.s.Words*3 + 1) / 2 }

// Compare holds a debate on a question and judges it. The answer's rationale is
// the [Transcript] as JSON. Errors are [llm.Error], or the debater's own.
func (j *Judge) Compare(ctx context.Context, q judge.Question) (judge.Answer, error) {
	var c cost
	t, err := j.debate(ctx, q, &c)
	if err != nil {
		return judge.Answer{Calls: c.calls}, err
	}
	choice, err := llm.Choose(ctx, j.Model, llm.Request{
		Messages: j.renderJudge(q, t.Turns),
		Seed:     j.s.Seed + q.Sample*max(1, j.s.Votes),
	}, j.s.Votes, "A", "B")
	c.calls += choice.Calls
	if err != nil {
		return judge.Answer{Calls: c.calls}, err
	}
	rationale, err := json.Marshal(t)
	if err != nil {
		return judge.Answer{Calls: c.calls}, err
	}
	return judge.Answer{
		LPFirst: choice.LogProb[0], LPSecond: choice.LogProb[1],
		Coverage: choice.Coverage, Censored: choice.Censored, First: choice.First,
		PromptTokens: (c.tokens + choice.PromptTokens) / (c.turns + 1),
		Duration:     c.time + choice.Duration, Calls: c.calls,
		Rationale: string(rationale),
	}, nil
}

// cost is what turns took: tokens of their prompts, calls of this run, and the
// time, that of turns from before included.
type cost struct {
	calls, turns, tokens int
	time                 time.Duration
}

// debate has the sides speak in their order.
func (j *Judge) debate(ctx context.Context, q judge.Question, c *cost) (*Transcript, error) {
	t := &Transcript{Protocol: j.protocol.name, Turns: []Turn{}}
	src := sourcesOf(q)
	for round := 1; round <= j.s.Rounds && len(j.protocol.sides) > 0; round++ {
		heard := t.Turns
		for _, side := range j.protocol.sides {
			if !j.protocol.blindfold {
				heard = t.Turns
			}
			turn, err := j.turn(ctx, q, heard, round, side, src, c)
			if err != nil {
				return nil, fmt.Errorf(j.protocol.speaker+", round %d: %w", side, round, err)
			}
			t.Turns = append(t.Turns, turn)
		}
	}
	return t, nil
}

// attempts is how often a side is asked for a turn, with another seed each time,
// until it says something.
const attempts = 3

func (j *Judge) turn(ctx context.Context, q judge.Question, heard []Turn, round int, side string, src sources, c *cost) (Turn, error) {
	req := llm.Request{
		Messages:    j.renderDebater(q, heard, round, side),
		MaxTokens:   j.turnTokens(),
		Temperature: j.s.Temperature,
	}
	for n := range attempts {
		req.Seed = j.s.Seed + q.Sample + n*1_000_003
		r, asked, err := j.Debater.Argue(ctx, req)
		if asked {
			c.calls++
		}
		if err != nil {
			if llm.KindOf(err) == llm.KindEmpty && n+1 < attempts {
				continue
			}
			return Turn{}, err
		}
		c.turns++
		c.tokens += r.PromptTokens
		c.time += r.Duration
		turn := argument(r.Text, r.Truncated, j.mostWords(), src)
		if turn.Text == "" {
			continue
		}
		turn.Round, turn.Side = round, side
		return turn, nil
	}
	return Turn{}, &llm.Error{Kind: llm.KindEmpty, Op: "argue", Err: fmt.Errorf("nothing was said in %d attempts", attempts)}
}
