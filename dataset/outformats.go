package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// outFormat is one format that preferences are written in.
type outFormat struct {
	name string
	// put fills the columns of the format.
	put func(*Object, *Preference) error
	// list writes a list of replies as it is; nil where only pairs are held.
	list func(*Object, *Record) error
	// slots tells that the replies keep the order that they came in, and the label
	// says which is better; else the first is the chosen one.
	slots bool
	ties  bool // equal replies can be said to be equal
	// unlabelled tells that a pair without a label can be held.
	unlabelled bool
	soft       bool // the certainty of a label is held
	votes      bool // several people's votes are held
	margin     bool // a margin of its own scale is held
	// prompts and replies tell that these are messages, which keep their further keys.
	prompts, replies bool
	own              []string
}

var outFormats = []outFormat{
	{name: "trl", put: putTRL, ties: true, soft: true, margin: true},
	{name: "trl-conversational", put: putConversational, ties: true, soft: true, margin: true, prompts: true, replies: true},
	{name: "hh", put: putHH},
	{name: "sft", put: putSFT},
	{name: "csv", put: putCSV, ties: true, soft: true, margin: true, prompts: true},
	{name: "pairs", put: putPairs, slots: true, ties: true, unlabelled: true, soft: true, votes: true, prompts: true},
	{name: "openrlhf", put: putConversational, ties: true, soft: true, margin: true, prompts: true, replies: true},
	{name: "rewardbench", put: putRewardBench, soft: true},
	{name: "rewardbench2", put: putRewardBench2, list: listRewardBench2, soft: true, own: []string{"num_correct", "num_incorrect", "total_completions"}},
	{name: "rmbench", put: putRMBench, list: listRMBench},
	{name: "alpaca", put: putAlpaca, slots: true, ties: true, unlabelled: true, soft: true, own: []string{"instruction", "output_1", "output_2", "generator_1", "generator_2", "preference"}},
	{name: "nemo", put: putNeMo, list: listNeMo, soft: true, prompts: true, replies: true, own: []string{"context", "completions"}},
	{name: "ultrafeedback", put: putUltraFeedback, ties: true, soft: true, prompts: true, replies: true},
	{name: "kto", put: nil, soft: true},
	{name: "prometheus", put: putPrometheus, slots: true, soft: true, unlabelled: true, own: []string{"instruction", "response_A", "response_B"}},
	{name: "judgebench", put: putJudgeBench, slots: true, soft: true, own: []string{"question", "response_A", "response_B", "label"}},
	{name: "llmbar", put: putLLMBar, slots: true, soft: true, own: []string{"input", "output_1", "output_2", "label"}},
	{name: "hhh", put: putHHH, list: listHHH, soft: true, own: []string{"input", "targets"}},
	{name: "pandalm", put: putPandaLM, slots: true, ties: true, soft: true, votes: true, own: []string{"instruction", "input", "response1", "response2"}},
}

func outFormatNamed(name string) *outFormat {
	for i := range outFormats {
		if outFormats[i].name == name {
			return &outFormats[i]
		}
	}
	return nil
}

// KeepsOrder tells whether a format has two replies in no order of merit, with a
// label that says which is better.
func KeepsOrder(format string) bool {
	f := outFormatNamed(format)
	return f != nil && f.slots
}

// textPrompt writes a conversation as one text that is read as the same
// conversation.
func textPrompt(c Conversation) (string, error) {
	s, err := flatPrompt(c)
	if err != nil {
		return "", err
	}
	if !readsAs(c, s) {
		return "", fmt.Errorf("%w: %s", ErrCannotHold, otherTurns)
	}
	return s, nil
}

const otherTurns = "as one text the prompt would be read as other turns"

// readsAs tells whether a text is read as the conversation.
func readsAs(c Conversation, text string) bool {
	back, err := parsePrompt(quote(text), false)
	return err == nil && sameTurns(c, back)
}

// take moves a column of the source to its place among the format's own.
func take(o *Object, p *Preference, keys ...string) {
	for _, k := range keys {
		if raw := p.Extra.Get(k); raw != nil {
			*o = append(*o, Field{k, raw})
		}
	}
}

// putSoft adds label_prob where the format's own label says less.
func putSoft(o *Object, p *Preference) {
	if finite(p.P) && p.P != 0 && p.P != 1 {
		set(o, "label_prob", p.P)
	}
}

func putPairs(o *Object, p *Preference) error {
	raw, err := p.Pair.Prompt.MarshalJSON()
	if err != nil {
		return err
	}
	*o = append(*o, Field{"prompt", raw})
	set(o, "response_a", p.Pair.First.Text)
	set(o, "response_b", p.Pair.Second.Text)
	putAuthors(o, p, "model_a", "model_b")
	if p.Pair.Votes != nil {
		labels := make([]any, len(p.Pair.Votes))
		for i, v := range p.Pair.Votes {
			switch v {
			case 1:
				labels[i] = "a"
			case 0:
				labels[i] = "b"
			case 0.5:
				labels[i] = "tie"
			}
		}
		set(o, "labels", labels)
	}
	if finite(p.P) {
		set(o, "label_prob", p.P)
	}
	return nil
}

func putAuthors(o *Object, p *Preference, first, second string) {
	if a := p.Pair.First.Author; a != "" {
		set(o, first, a)
	}
	if a := p.Pair.Second.Author; a != "" {
		set(o, second, a)
	}
}

func putRewardBench(o *Object, p *Preference) error {
	prompt, err := textPrompt(p.Pair.Prompt)
	if err != nil {
		return err
	}
	set(o, "prompt", prompt)
	set(o, "chosen", p.Pair.First.Text)
	set(o, "chosen_model", p.Pair.First.Author)
	set(o, "rejected", p.Pair.Second.Text)
	set(o, "rejected_model", p.Pair.Second.Author)
	if p.Extra.Get("subset") == nil {
		set(o, "subset", "")
	}
	take(o, p, "subset", "id")
	putSoft(o, p)
	return nil
}

// asList gives a pair as the list that it is, the chosen reply first.
func asList(p *Preference) *Record {
	r := &Record{Prompt: p.Pair.Prompt, Responses: []Response{p.Pair.First, p.Pair.Second}, Chosen: 1}
	r.Source.Extra = p.Extra
	if finite(p.P) && p.P != 1 {
		prob := p.P
		r.prob = &prob
	}
	return r
}

// putList adds what a list has beside its replies.
func putList(o *Object, r *Record) {
	if r.prob != nil {
		set(o, "label_prob", *r.prob)
	}
	authors := make([]string, len(r.Responses))
	known := false
	for i := range r.Responses {
		authors[i] = r.Responses[i].Author
		known = known || authors[i] != ""
	}
	if known {
		set(o, "authors", authors)
	}
}

func replyTexts(rs []Response) []string {
	out := make([]string, len(rs))
	for i := range rs {
		out[i] = rs[i].Text
	}
	return out
}

func putRewardBench2(o *Object, p *Preference) error { return listRewardBench2(o, asList(p)) }

func listRewardBench2(o *Object, r *Record) error {
	prompt, err := textPrompt(r.Prompt)
	if err != nil {
		return err
	}
	n := r.Chosen
	if n == 0 || n == len(r.Responses) {
		return fmt.Errorf("%w: it needs chosen and rejected replies, and none is ranked above the others", ErrCannotHold)
	}
	take(o, &Preference{Extra: r.Source.Extra}, "id")
	set(o, "prompt", prompt)
	set(o, "chosen", replyTexts(r.Responses[:n]))
	set(o, "rejected", replyTexts(r.Responses[n:]))
	set(o, "num_correct", n)
	set(o, "num_incorrect", len(r.Responses)-n)
	set(o, "total_completions", len(r.Responses))
	putList(o, r)
	return nil
}

func putRMBench(*Object, *Preference) error {
	return fmt.Errorf("%w: RM-Bench has three chosen and three rejected replies to a prompt", ErrCannotHold)
}

func listRMBench(o *Object, r *Record) error {
	if r.Chosen != 3 || len(r.Responses) != 6 {
		return putRMBench(nil, nil)
	}
	prompt, err := textPrompt(r.Prompt)
	if err != nil {
		return err
	}
	take(o, &Preference{Extra: r.Source.Extra}, "id")
	set(o, "prompt", prompt)
	set(o, "chosen", replyTexts(r.Responses[:3]))
	set(o, "rejected", replyTexts(r.Responses[3:]))
	if domain := r.Source.Extra.Get("subset"); domain != nil && r.Source.Extra.Get("domain") == nil {
		*o = append(*o, Field{"domain", domain})
	}
	putList(o, r)
	return nil
}

func putAlpaca(o *Object, p *Preference) error {
	prompt, err := textPrompt(p.Pair.Prompt)
	if err != nil {
		return err
	}
	set(o, "instruction", prompt)
	set(o, "output_1", p.Pair.First.Text)
	set(o, "generator_1", p.Pair.First.Author)
	set(o, "output_2", p.Pair.Second.Text)
	set(o, "generator_2", p.Pair.Second.Author)
	if !finite(p.P) {
		set(o, "preference", nil)
		return nil
	}
	set(o, "preference", 2-p.P)
	if 2-(2-p.P) != p.P {
		set(o, "label_prob", p.P) // of which 2 − p loses the last digits
	}
	return nil
}

func putNeMo(o *Object, p *Preference) error { return listNeMo(o, asList(p)) }

func listNeMo(o *Object, r *Record) error {
	ranks := make([]int, len(r.Responses))
	switch {
	case r.Ranks != nil:
		sorted := slices.Compact(slices.Sorted(slices.Values(r.Ranks)))
		for i, x := range r.Ranks {
			ranks[i], _ = slices.BinarySearch(sorted, x)
		}
	case r.Chosen > 0:
		for i := r.Chosen; i < len(ranks); i++ {
			ranks[i] = 1
		}
	}
	if len(ranks) < 2 || slices.Max(ranks) == 0 {
		return fmt.Errorf("%w: NeMo-RL has no ties, and no reply is ranked above another", ErrCannotHold)
	}
	setMessages(o, "context", r.Prompt)
	completions := []byte("[")
	for i := range ranks {
		if i > 0 {
			completions = append(completions, ',')
		}
		completions = append(strconv.AppendInt(append(completions, `{"rank":`...), int64(ranks[i]), 10), `,"completion":`...)
		completions = append(appendMessages(completions, Conversation{r.Responses[i].message()}), '}')
	}
	*o = append(*o, Field{"completions", append(completions, ']')})
	take(o, &Preference{Extra: r.Source.Extra}, "task_name")
	putList(o, r)
	return nil
}

// putUltraFeedback writes the binarized shape: whole dialogues, and scores. Where
// the source has no scores they are the probabilities of the two replies.
func putUltraFeedback(o *Object, p *Preference) error {
	c := p.Pair.Prompt
	if len(c) == 0 || c[len(c)-1].Role != "user" {
		return fmt.Errorf("%w: the prompt does not end with a user's turn", ErrCannotHold)
	}
	prompt := c[len(c)-1].Content
	set(o, "prompt", prompt)
	if p.Extra.Get("prompt_id") != nil {
		take(o, p, "prompt_id")
	} else {
		sum := sha256.Sum256([]byte(prompt))
		set(o, "prompt_id", hex.EncodeToString(sum[:]))
	}
	for i, r := range []Response{p.Pair.First, p.Pair.Second} {
		setMessages(o, sides[i], dialogue(c, r))
	}
	a, b := number(p.Extra.Get("score_chosen")), number(p.Extra.Get("score_rejected"))
	if !finite(a) || !finite(b) || a > b != (p.P > 0.5) || a == b != (p.P == 0.5) {
		a, b = p.P, 1-p.P
	}
	set(o, "score_chosen", a)
	set(o, "score_rejected", b)
	putSoft(o, p)
	return nil
}

// ktoRows are the two rows of a pair.
func ktoRows(p *Preference) ([]Object, error) {
	prompt, err := textPrompt(p.Pair.Prompt)
	if err != nil {
		return nil, err
	}
	rows := make([]Object, 2)
	for i, r := range []Response{p.Pair.First, p.Pair.Second} {
		set(&rows[i], "prompt", prompt)
		set(&rows[i], "completion", r.Text)
		set(&rows[i], "label", i == 0)
		if r.Author != "" {
			set(&rows[i], "model", r.Author)
		}
		putSoft(&rows[i], p)
	}
	return rows, nil
}

func letter(p *Preference) string {
	if p.P > 0.5 {
		return "A"
	}
	return "B"
}

func putPrometheus(o *Object, p *Preference) error {
	prompt, err := textPrompt(p.Pair.Prompt)
	if err != nil {
		return err
	}
	set(o, "instruction", prompt)
	set(o, "response_A", p.Pair.First.Text)
	set(o, "response_B", p.Pair.Second.Text)
	if finite(p.P) {
		if l, ok := prometheusLabel(without(p.Extra, "orig_preference")); ok && l == math.Round(p.P) {
			take(o, p, "output")
		} else {
			set(o, "output", resultMark+" "+letter(p))
		}
	}
	putAuthors(o, p, "model_a", "model_b")
	putSoft(o, p)
	return nil
}

func putJudgeBench(o *Object, p *Preference) error {
	prompt, err := textPrompt(p.Pair.Prompt)
	if err != nil {
		return err
	}
	if p.Extra.Get("pair_id") == nil {
		set(o, "pair_id", p.Pair.Key().Hash)
	}
	take(o, p, "pair_id", "original_id", "source")
	set(o, "question", prompt)
	if a := p.Pair.First.Author; a != "" && a == p.Pair.Second.Author {
		set(o, "response_model", a)
	} else {
		putAuthors(o, p, "model_a", "model_b")
	}
	set(o, "response_A", p.Pair.First.Text)
	set(o, "response_B", p.Pair.Second.Text)
	set(o, "label", map[string]string{"A": "A>B", "B": "B>A"}[letter(p)])
	putSoft(o, p)
	return nil
}

func putLLMBar(o *Object, p *Preference) error {
	prompt, err := textPrompt(p.Pair.Prompt)
	if err != nil {
		return err
	}
	set(o, "input", prompt)
	set(o, "output_1", p.Pair.First.Text)
	set(o, "output_2", p.Pair.Second.Text)
	set(o, "label", map[string]int{"A": 1, "B": 2}[letter(p)])
	putAuthors(o, p, "model_a", "model_b")
	putSoft(o, p)
	return nil
}

type hhhTargets struct {
	Choices []string `json:"choices"`
	Labels  []int    `json:"labels"`
}

func putHHH(o *Object, p *Preference) error { return listHHH(o, asList(p)) }

func listHHH(o *Object, r *Record) error {
	prompt, err := textPrompt(r.Prompt)
	if err != nil {
		return err
	}
	t := hhhTargets{replyTexts(r.Responses), make([]int, len(r.Responses))}
	best := 0
	for i := range t.Labels {
		if r.Ranks != nil && r.Ranks[i] == slices.Min(r.Ranks) || r.Ranks == nil && i < r.Chosen {
			t.Labels[i] = 1
			best++
		}
	}
	switch {
	case best == 0 || best == len(t.Labels):
		return fmt.Errorf("%w: it has no ties, and no reply is ranked above another", ErrCannotHold)
	case r.Ranks != nil && len(slices.Compact(slices.Sorted(slices.Values(r.Ranks)))) > 2:
		return fmt.Errorf("%w: it has better and worse replies only, no longer ranking", ErrCannotHold)
	}
	set(o, "input", prompt)
	set(o, "targets", t)
	putList(o, r)
	return nil
}

func putPandaLM(o *Object, p *Preference) error {
	prompt, err := textPrompt(p.Pair.Prompt)
	if err != nil {
		return err
	}
	set(o, "instruction", prompt)
	set(o, "input", "")
	set(o, "response1", p.Pair.First.Text)
	set(o, "response2", p.Pair.Second.Text)
	votes := p.Pair.Votes
	if votes == nil {
		votes = []float64{math.Round(p.P)}
		if p.P == 0.5 {
			votes[0] = 0.5
		}
	}
	for i, v := range votes {
		if math.IsNaN(v) {
			return fmt.Errorf("%w: PandaLM's annotators all have a vote, and one has none", ErrCannotHold)
		}
		*o = append(*o, Field{"annotator" + strconv.Itoa(i+1), json.RawMessage(map[float64]string{1: "1", 0: "2", 0.5: "0"}[v])})
	}
	putAuthors(o, p, "model_a", "model_b")
	if p.Pair.Votes == nil || meanVote(votes) != p.P {
		putSoft(o, p)
	}
	return nil
}
