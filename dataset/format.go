package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// containers are the names that --format takes for how a file holds its
// records, whose shape is then still detected.
var containers = []string{"csv", "jsonl", "text"}

// Formats lists the names that [ReadOptions].Format takes:
//
//   - trl: prompt (text or messages), chosen, rejected; without a prompt, what
//     chosen and rejected begin with in common is the prompt.
//   - trl-conversational: chosen and rejected are messages, with the prompt
//     beside them or repeated in both.
//   - hh: chosen and rejected are transcripts "\n\nHuman: …\n\nAssistant: …";
//     with a prompt column, that is the transcript.
//   - pairs: response_a and response_b, or _1 and _2, labelled or not.
//   - responses: a list of replies to one prompt; with ranks, a number for each,
//     the smallest for the best, its pairs are labelled.
//   - rmbench: lists of chosen and rejected replies, each paired with each.
//   - llmbar: input, output_1, output_2, label 1 or 2.
//   - alpaca: instruction, output_1, output_2, preference 1 to 2.
//   - pandalm: two responses and three annotators' votes 0 (tie), 1, 2.
//   - judgebench: question, response_A, response_B, label "A>B" or "B>A".
//   - rewardbench: trl with chosen_model, rejected_model and subset.
//   - rewardbench2: as rmbench, with counts.
//   - openrlhf: trl or trl-conversational.
//   - llama-factory: an instruction and output, a list of the better reply and the
//     worse one. Its other forms are read as trl and trl-conversational.
//   - summaries: info with a post or an article, two summaries, and choice, the place
//     of the better one from 0, as in OpenAI's comparisons.
//   - ultrafeedback: instruction and annotated completions, or chosen and rejected
//     dialogues with scores.
//   - nemo: context and completions with their ranks.
//   - hhh: input and targets, or target_scores.
//   - prometheus: instruction, response_A, response_B and a verdict "[RESULT] A".
//   - kto: one reply with a label true or false; neighbours of both labels to the
//     same prompt make pairs.
//   - sft, replies: one reply, in completion or response.
//   - csv, jsonl, text: how the file holds records that are detected.
func Formats() []string {
	names := make([]string, 0, len(formats)+len(containers))
	for i := range formats {
		names = append(names, formats[i].name)
	}
	return append(names, containers...)
}

// order tells what a format says of which reply is better.
type order byte

const (
	orderNone   order = iota // its replies are alone, or a list
	orderChosen              // the first is the chosen one
	orderOpen                // a label says it
)

// format is one shape of record.
type format struct {
	name string
	// fits tells whether a record has the columns of the format; it is what
	// detection asks, in the order of formats.
	fits  func(Object) bool
	read  func(*view, *content) error
	order order
	why   string // what in the columns told the format, for people
}

var formats []format

func init() {
	formats = []format{
		{"rewardbench2", fitsRewardBench2, readLists, orderNone, "chosen and rejected are lists, with num_correct, num_incorrect or total_completions"},
		{"rmbench", fitsLists, readLists, orderNone, "chosen and rejected are lists of texts"},
		{"ultrafeedback", fitsUltraFeedback, readUltraFeedback, orderChosen, "instruction and completions with a response each, or dialogues with score_chosen and score_rejected"},
		{"trl-conversational", fitsConversational, readConversational, orderChosen, "chosen and rejected are messages"},
		{"hh", fitsHH, readHH, orderChosen, "no prompt; chosen and rejected are transcripts of Human and Assistant"},
		{"rewardbench", fitsRewardBench, readChosen, orderChosen, "prompt, chosen, rejected, and chosen_model, rejected_model, subset"},
		{"trl", fitsTRL, readTRL, orderChosen, "chosen and rejected are texts"},
		{"llama-factory", fitsOutputs, readOutputs, orderChosen, "output is a list of two replies, the better one first"},
		{"summaries", fitsSummaries, readSummaries, orderOpen, "info, two summaries and choice"},
		{"llmbar", fitsVersus("input", "label", "output_1", "output_2"), readTwo, orderOpen, "input, output_1, output_2 and label"},
		{"alpaca", fitsVersus("instruction", "preference", "output_1", "output_2"), readTwo, orderOpen, "instruction, output_1, output_2 and preference"},
		{"pandalm", fitsPandaLM, readTwo, orderOpen, "two responses and the annotators' numbers"},
		{"judgebench", fitsVersus("question", "label", "response_A", "response_B"), readTwo, orderOpen, "question, response_A, response_B and label"},
		{"prometheus", fitsPrometheus, readPrometheus, orderOpen, "instruction, response_A, response_B and a verdict [RESULT]"},
		{"pairs", fitsTwo, readTwo, orderOpen, "a prompt and two replies in no order of merit"},
		{"nemo", fitsNeMo, readNeMo, orderNone, "context and completions with a completion each"},
		{"hhh", fitsHHH, readHHH, orderNone, "input and targets or target_scores"},
		{"responses", fitsResponses, readResponses, orderNone, "a prompt and a list of responses"},
		{"kto", fitsKTO, readReply, orderNone, "a prompt, a reply and a label true or false"},
		{"sft", fitsSFT, readReply, orderNone, "prompt and completion"},
		{"replies", fitsReply, readReply, orderNone, "a response, or messages that end with one"},
		{"openrlhf", never, readChosen, orderChosen, ""}, // the same columns as trl
	}
}

func formatNamed(name string) *format {
	for i := range formats {
		if formats[i].name == name {
			return &formats[i]
		}
	}
	return nil
}

// detect gives the first format that a record fits, nil if none.
func detect(o Object) *format {
	for i := range formats {
		if formats[i].fits(o) {
			return &formats[i]
		}
	}
	return nil
}

// mayBeImplicit tells whether the prompt may be what both replies begin with. Later
// records may still tell otherwise: a damaged transcript at the head of an HH file
// looks like that, too.
func (f *format) mayBeImplicit() bool {
	return f.name == "trl" || f.name == "rewardbench" || f.name == "openrlhf"
}

func fitsTRL(o Object) bool {
	chosen, rejected := sidesOf(o)
	return kinds(o, '"', chosen, rejected) && !fitsPointers(o)
}

// fitsPointers tells whether chosen and rejected only name two replies that stand in
// other columns.
func fitsPointers(o Object) bool {
	if !fitsTwo(o) {
		return false
	}
	for _, key := range []string{"chosen", "rejected"} {
		v := parseLabel(o.Get(key))
		switch {
		case v.kind == 0, v.kind == kindText && !isOneOf(v.text, o), v.kind == kindNumber && v.x != 0 && v.x != 1 && v.x != 2:
			return false
		}
	}
	return true
}

// isOneOf tells whether a name is that of the column of one of two replies.
func isOneOf(name string, o Object) bool {
	a, b, _ := twoOf(o)
	return strings.EqualFold(name, a) || strings.EqualFold(name, b)
}

// replies reads the chosen and the rejected reply, each with the turns before it.
func (v *view) replies() (cBefore Conversation, chosen Response, rBefore Conversation, rejected Response, err error) {
	c, r := sidesOf(v.obj)
	if cBefore, chosen, err = v.reply(c); err != nil {
		return
	}
	rBefore, rejected, err = v.reply(r)
	return
}

func readTRL(v *view, c *content) error {
	prompt, err := v.promptOf(false)
	if err != nil {
		return err
	}
	_, chosen, _, rejected, err := v.replies()
	if err != nil {
		return err
	}
	a, b := chosen.Text, rejected.Text
	switch {
	case prompt != nil && v.g.implicit:
		return fmt.Errorf("%s: the records before have no prompt but what both replies begin with", v.main)
	case prompt != nil:
	case isTranscript(a) && isTranscript(b):
		if prompt, chosen, rejected, err = splitTranscripts(a, b); err != nil {
			return err
		}
	case !v.g.implicit:
		return errNoPrompt
	default:
		n := commonWords(a, b)
		if n == 0 {
			return fmt.Errorf("%w, and chosen and rejected do not begin alike", errNoPrompt)
		}
		if prompt, chosen.Text, rejected.Text = Prompt(a[:n]), a[n:], b[n:]; chosen.Text == "" || rejected.Text == "" {
			return fmt.Errorf("%w: one reply is the beginning of the other, so that nothing would be left of it", errNoPrompt)
		}
	}
	return v.chosenPair(c, prompt, chosen, rejected)
}

// commonWords gives the length of what two texts begin with in common, cut at
// the end of a word. The space after it belongs to the replies, as in TRL,
// which however cuts inside words: "bl" is not part of the prompt where one
// reply goes on with "blue" and the other with "black".
func commonWords(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	inWord := func(s string) bool {
		before, _ := utf8.DecodeLastRuneInString(s[:n])
		after, _ := utf8.DecodeRuneInString(s[n:])
		return n > 0 && n < len(s) && !unicode.IsSpace(before) && !unicode.IsSpace(after)
	}
	for inWord(a) || inWord(b) {
		_, size := utf8.DecodeLastRuneInString(a[:n])
		n -= size
	}
	return len(strings.TrimRightFunc(a[:n], unicode.IsSpace))
}

func fitsHH(o Object) bool {
	if hasPrompt(o) || !fitsTRL(o) {
		return false
	}
	chosen, rejected := sidesOf(o)
	c, errC := unquote(o.Get(chosen))
	r, errR := unquote(o.Get(rejected))
	return errC == nil && errR == nil && isTranscript(c) && isTranscript(r)
}

func readHH(v *view, c *content) error {
	prompt, err := v.promptOf(true)
	if err != nil {
		return err
	}
	_, chosen, _, rejected, err := v.replies()
	if err != nil {
		return err
	}
	if prompt == nil {
		if prompt, chosen, rejected, err = splitTranscripts(chosen.Text, rejected.Text); err != nil {
			return err
		}
	}
	return v.chosenPair(c, prompt, chosen, rejected)
}

func fitsConversational(o Object) bool {
	chosen, rejected := sidesOf(o)
	a, b := o.Get(chosen), o.Get(rejected)
	return isReplyMessages(a) && isReplyMessages(b)
}

// isReplyMessages tells whether a reply is given as messages, or as one message.
func isReplyMessages(raw json.RawMessage) bool {
	return isMessages(raw) || kindOf(raw) == '{' && (isMessage(raw) || isMessages(messagesOf(raw)))
}

func readConversational(v *view, c *content) error {
	prompt, err := v.promptOf(false)
	if err != nil {
		return err
	}
	cBefore, chosen, rBefore, rejected, err := v.replies()
	if err != nil {
		return err
	}
	if !sameTurns(cBefore, rBefore) {
		return errors.New("chosen and rejected part before their last turn, so they are not replies to one conversation")
	}
	if len(cBefore) > 0 {
		if prompt != nil && !repeats(prompt, cBefore) {
			return errors.New("chosen begins with a conversation that is not the prompt")
		}
		prompt = cBefore
	}
	if prompt == nil && has(v.obj, "prompt") {
		prompt = Conversation{} // an empty list of messages
	}
	if prompt == nil {
		return fmt.Errorf("%w: neither a prompt column nor turns before the replies", errNoPrompt)
	}
	if n := len(prompt); n > 0 && prompt[n-1].Role == "assistant" && v.main != "prompt" && v.main != "" && len(cBefore) == 0 {
		if last := prompt[n-1].Content; last != chosen.Text && last != rejected.Text {
			return fmt.Errorf("%s ends with a turn of the assistant, to which chosen and rejected are no replies", v.main)
		}
		prompt = prompt[: n-1 : n-1] // the whole dialogue, one reply included
	}
	err = v.chosenPair(c, prompt, chosen, rejected)
	// Replies of one score are a tie: nobody has chosen between them.
	a, b := number(v.obj.Get("score_chosen")), number(v.obj.Get("score_rejected"))
	if err == nil && a == b && empty(v.obj.Get("label_prob")) {
		c.pair.P = 0.5
	}
	return err
}

// repeats tells whether the turns before a reply are the prompt again, perhaps
// with a system message that a prompt given as text leaves out.
func repeats(prompt, before Conversation) bool {
	if sameTurns(prompt, before) {
		return true
	}
	text, ok := prompt.Text()
	return ok && (before[0].Content == text || before[len(before)-1].Content == text)
}

var (
	authorColumns = []string{"model", "generator", "author", "response_model"}
	replyColumns  = []string{"response", "completion", "output", "answer", "reply"}
)

func fitsSFT(o Object) bool { return has(o, "prompt") && has(o, "completion") }

func fitsReply(o Object) bool {
	return has(o, replyColumns...) || isMessages(o.Get("messages")) || isMessages(o.Get("conversations"))
}

func readReply(v *view, c *content) error {
	prompt, err := v.promptOf(false)
	if err != nil {
		return err
	}
	r := &Reply{Prompt: prompt}
	i := slices.IndexFunc(replyColumns, func(k string) bool { return has(v.obj, k) })
	switch {
	case i >= 0:
		var before Conversation
		if before, r.Response, err = v.reply(replyColumns[i]); err != nil {
			return err
		}
		if len(before) > 0 {
			if prompt != nil && !repeats(prompt, before) {
				return fmt.Errorf("%s begins with a conversation that is not the prompt", replyColumns[i])
			}
			r.Prompt = before
		}
	case v.main == "messages" || v.main == "conversations" || v.main == "conversation":
		if r.Prompt, r.Response, err = splitReply(prompt); err != nil {
			return fmt.Errorf("%s: %w", v.main, err)
		}
	case isMessages(v.obj.Get("messages")):
		var before Conversation
		if before, r.Response, err = v.reply("messages"); err != nil {
			return err
		}
		if len(before) > 0 {
			if prompt != nil && !repeats(prompt, before) {
				return errors.New("messages begin with a conversation that is not the prompt")
			}
			r.Prompt = before
		}
	default:
		return errors.New(`no "response"`)
	}
	if r.Prompt, err = v.whole(r.Prompt); err != nil {
		return err
	}
	r.Response.Author = v.author(authorColumns...)
	c.reply = r
	return nil
}
