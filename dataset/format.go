package dataset

import (
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

// format is one shape of record.
type format struct {
	name string
	// fits tells whether a record has the columns of the format; it is what
	// detection asks, in the order of formats.
	fits func(Object) bool
	read func(*view, *content) error
	why  string // what in the columns told the format, for people
}

var formats []format

func init() {
	formats = []format{
		{"rewardbench2", fitsRewardBench2, readLists, "chosen and rejected are lists, with num_correct, num_incorrect or total_completions"},
		{"rmbench", fitsLists, readLists, "chosen and rejected are lists of texts"},
		{"ultrafeedback", fitsUltraFeedback, readUltraFeedback, "instruction and completions with a response each, or dialogues with score_chosen and score_rejected"},
		{"trl-conversational", fitsConversational, readConversational, "chosen and rejected are lists of messages"},
		{"hh", fitsHH, readHH, "no prompt; chosen and rejected are transcripts of Human and Assistant"},
		{"rewardbench", fitsRewardBench, readChosen, "prompt, chosen, rejected, and chosen_model, rejected_model, subset"},
		{"trl", fitsTRL, readTRL, "chosen and rejected are texts"},
		{"llmbar", fitsVersus("input", "label", "output_1", "output_2"), readTwo, "input, output_1, output_2 and label"},
		{"alpaca", fitsVersus("instruction", "preference", "output_1", "output_2"), readTwo, "instruction, output_1, output_2 and preference"},
		{"pandalm", fitsPandaLM, readTwo, "two responses and the annotators' numbers"},
		{"judgebench", fitsVersus("question", "label", "response_A", "response_B"), readTwo, "question, response_A, response_B and label"},
		{"prometheus", fitsPrometheus, readPrometheus, "instruction, response_A, response_B and a verdict [RESULT]"},
		{"pairs", fitsTwo, readTwo, "a prompt and two replies in no order of merit"},
		{"nemo", fitsNeMo, readNeMo, "context and completions with a completion each"},
		{"hhh", fitsHHH, readHHH, "input and targets or target_scores"},
		{"responses", fitsResponses, readResponses, "a prompt and a list of responses"},
		{"kto", fitsKTO, readReply, "prompt, completion and a label true or false"},
		{"sft", fitsSFT, readReply, "prompt and completion"},
		{"replies", fitsReply, readReply, "a response, or messages that end with one"},
		{"openrlhf", never, readChosen, ""}, // the same columns as trl
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

// ambiguous tells whether later records may still tell otherwise: a damaged
// transcript at the head of an HH file looks like TRL's implicit form.
func (f *format) ambiguous(o Object) bool { return f.name == "trl" && !has(o, promptColumns...) }

func fitsTRL(o Object) bool { return kinds(o, '"', "chosen", "rejected") }

func readTRL(v *view, c *content) error {
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	_, chosen, err := v.reply("chosen")
	if err != nil {
		return err
	}
	_, rejected, err := v.reply("rejected")
	if err != nil {
		return err
	}
	if prompt == nil {
		a, b := chosen.Text, rejected.Text
		if isTranscript(a) && isTranscript(b) {
			if prompt, chosen, rejected, err = splitTranscripts(a, b); err != nil {
				return err
			}
		} else {
			n := commonWords(a, b)
			if n == 0 {
				return fmt.Errorf("%w, and chosen and rejected do not begin alike", errNoPrompt)
			}
			prompt, chosen.Text, rejected.Text = Prompt(a[:n]), a[n:], b[n:]
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
	if has(o, promptColumns...) || !fitsTRL(o) {
		return false
	}
	c, errC := unquote(o.Get("chosen"))
	r, errR := unquote(o.Get("rejected"))
	return errC == nil && errR == nil && isTranscript(c) && isTranscript(r)
}

func readHH(v *view, c *content) error {
	prompt, err := v.prompt(true)
	if err != nil {
		return err
	}
	_, chosen, err := v.reply("chosen")
	if err != nil {
		return err
	}
	_, rejected, err := v.reply("rejected")
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
	return isMessages(o.Get("chosen")) && isMessages(o.Get("rejected"))
}

func readConversational(v *view, c *content) error {
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	cBefore, chosen, err := v.reply("chosen")
	if err != nil {
		return err
	}
	rBefore, rejected, err := v.reply("rejected")
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
	return v.chosenPair(c, prompt, chosen, rejected)
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
	return has(o, replyColumns...) || isMessages(o.Get("messages"))
}

func readReply(v *view, c *content) error {
	prompt, err := v.prompt(false)
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
	case kinds(v.obj, '[', "messages") || isMessages(v.obj.Get("messages")):
		if r.Prompt, r.Response, err = splitReply(prompt); err != nil {
			return fmt.Errorf("messages: %w", err)
		}
	default:
		return errors.New(`no "response"`)
	}
	r.Response.Author = v.author(authorColumns...)
	c.reply = r
	return nil
}
