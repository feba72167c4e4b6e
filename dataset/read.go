package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// ReadOptions says how a file is read. The zero value detects everything.
type ReadOptions struct {
	// Format is one of [Formats]; empty detects it from the first records.
	Format string
	// Pairs is the most pairs taken of a record that has more than two replies,
	// drawn with Seed; 0 takes all of them.
	Pairs int
	Seed  int64
	// Choose, if set, names the pairs of a list of replies, of which none is
	// said to be better, that has more than Pairs of them: by their places, the
	// smaller first. Its error ends the sequence.
	Choose func(prompt Conversation, replies []Response) ([][2]int, error)
	// Columns gives columns of the file the names that are read here, see
	// [ParseColumns]: prompt to question.
	Columns map[string]string
	// Scales say what the values of label columns mean, see [ParseScales]. A value
	// outside is an error.
	Scales Scales
	// Unlabelled leaves unread which reply is better, so that label columns of any
	// meaning do.
	Unlabelled bool
	// Told, if set, is told what was found out about a file: its format, how it is
	// read where another reading was possible, and what its author should know.
	Told func(Told)
	// Stdin is what the name "-" reads; nil is os.Stdin.
	Stdin io.Reader
	// Copy, if set, is read in place of the file, which can be read once only.
	Copy io.Reader
}

// RecordError is a record that does not fit. The sequence goes on after it if
// its consumer does, so that bad records can be counted and left out. Any other
// error ends the sequence.
type RecordError struct {
	File   string
	Line   int // from 1; in a JSON array the record's number
	Reason string
	// Lone tells that the record is sound but makes no pair: a reply labelled true
	// or false without one of the other label.
	Lone bool
	// Label is the label column that has a value outside the scale which the file's
	// first records, or the user, gave it.
	Label string
}

// Error gives "file:line: reason".
func (e *RecordError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason) }

// Reply is one reply, with the conversation it answers where the file has it.
type Reply struct {
	Prompt   Conversation // nil where the file has none
	Response Response
	Source   Source
}

// Record is one record of a file with all its columns, and what it holds: a
// reply, a pair, or a list of replies.
type Record struct {
	Object Object // nil for a text file
	Source Source
	Reply  *Reply // set if the record is a reply
	Pair   *Pair  // set if it is a pair
	// Prompt and Responses are set if the record has a list of replies. Chosen
	// is how many of them, from the first, were chosen over all the others.
	Prompt    Conversation
	Responses []Response
	Chosen    int
	Ranks     []float64 // of the responses, the smallest for the best; nil where there are none
	prob      *float64  // see content
	dropped   []string
}

// Pairs reads the pairs of a file; "-" is stdin. The file may be JSON Lines, a
// JSON array or CSV, compressed or not, and have any of the [Formats]. Memory
// does not grow with the file.
//
// Source.Extra has every column but those that hold the prompt, the replies and
// the id, so labels and authors' names stay in it in the form that they came
// in.
func Pairs(name string, o ReadOptions) iter.Seq2[*Pair, error] {
	return func(yield func(*Pair, error) bool) {
		r := reader{name: name, o: o}
		var join joiner
		give := func(done *joined) bool {
			if done == nil {
				return true
			}
			for _, lone := range done.lone {
				if !yield(nil, &RecordError{File: name, Line: lone.Source.Line, Reason: done.reason, Lone: true}) {
					return false
				}
			}
			for p := range done.pairs {
				if !yield(p, nil) {
					return false
				}
			}
			return true
		}
		stopped := false
		r.run(false, func(c *content, err error) bool {
			stopped = !func() bool {
				if err != nil {
					return yield(nil, err)
				}
				switch {
				case c.pair != nil:
					return yield(c.pair, nil)
				case c.list != nil:
					pairs, reason, err := c.pairs(o)
					if err != nil {
						yield(nil, err)
						return false
					}
					if reason != "" {
						return yield(nil, r.bad(c.source.Line, reason))
					}
					for p := range pairs {
						if !yield(p, nil) {
							return false
						}
					}
					return true
				case c.reply != nil && r.g.format.name == "kto":
					if _, ok := wanted(c.reply.Source.Extra); ok {
						return give(join.add(c.reply))
					}
				}
				return yield(nil, r.bad(c.source.Line, "one reply and no pair; a pair has chosen and rejected, or response_a and response_b"))
			}()
			return !stopped
		})
		if !stopped {
			give(join.flush())
		}
	}
}

// Replies reads the replies of a file: JSON or CSV records with prompt or
// messages and response, or, where the name says neither, one reply that is the
// whole file. A record with a list of responses gives each of them.
func Replies(name string, o ReadOptions) iter.Seq2[*Reply, error] {
	return func(yield func(*Reply, error) bool) {
		r := reader{name: name, o: o}
		r.run(true, func(c *content, err error) bool {
			if err != nil {
				return yield(nil, err)
			}
			switch {
			case c.pair != nil || c.list != nil && c.chosen > 0:
				return yield(nil, r.bad(c.source.Line, "a pair, not a reply; a reply has prompt or messages, and response"))
			case c.list != nil:
				for i, resp := range c.list {
					src := c.source
					src.Sub = i
					if !yield(&Reply{c.prompt, resp, src}, nil) {
						return false
					}
				}
				return true
			}
			return yield(c.reply, nil)
		})
	}
}

// Records reads a file's records with all their columns in their order. It
// takes what [Pairs] and [Replies] take; each record is given once, whatever
// number of replies it has.
func Records(name string, o ReadOptions) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		r := reader{name: name, o: o, keep: true}
		r.run(true, func(c *content, err error) bool {
			if err != nil {
				return yield(nil, err)
			}
			return yield(&Record{c.object, c.source, c.reply, c.pair, c.prompt, c.list, c.chosen, c.ranks, c.prob, c.dropped}, nil)
		})
	}
}

// content is what one record holds: a pair, a reply, or a list of replies.
type content struct {
	object Object // only if the reader keeps it
	source Source
	pair   *Pair
	reply  *Reply
	prompt Conversation
	list   []Response
	chosen int // of the list, how many were chosen over the rest
	ranks  []float64
	sorted []float64 // ranks, the best first; made when it is needed
	prob   *float64  // that the first of a list of two is better, where the file says it
	// dropped names what the record has and nothing here keeps.
	dropped []string
	asked   []string // the columns of the prompt
	written bool     // of [Prompts]: the prompt is what those columns have
}

// reader reads one file.
type reader struct {
	name   string
	o      ReadOptions
	keep   bool    // the whole object of each record
	format *format // preset, where it is not to be detected
	g      *reading
	// held are records for which the reading is not certain yet, and size their bytes.
	// done counts those of them that each step of [reader.settle] has seen.
	held []heldRecord
	size int
	done [3]int
}

// heldRecord is a record on its way: with its columns as the user named them, and as
// they are read.
type heldRecord struct {
	rec        rawRecord
	named, obj Object
}

func (r *reader) bad(line int, reason string) *RecordError {
	return &RecordError{File: r.name, Line: line, Reason: reason}
}

// run reads the file and yields each record's content. With text, a file that
// has no records is one reply.
func (r *reader) run(text bool, yield func(*content, error) bool) {
	containerName := ""
	switch {
	case slices.Contains(containers, r.o.Format):
		containerName = r.o.Format
	case r.o.Format != "":
		if r.format = formatNamed(r.o.Format); r.format == nil {
			yield(nil, fmt.Errorf("unknown format %q: one of %s", r.o.Format, strings.Join(Formats(), ", ")))
			return
		}
		text = false
	}
	r.g = newReading(r.name, r.o)
	r.g.format, r.g.named = r.format, r.format != nil && r.format != &promptFormat
	in, err := openInput(r.name, r.o)
	if err != nil {
		yield(nil, err)
		return
	}
	defer in.Close()
	c, err := in.container(containerName, text)
	if err != nil {
		yield(nil, in.readError(err))
		return
	}
	if c == containerText {
		if !text {
			yield(nil, fmt.Errorf("%s: a text has no pairs", r.name))
			return
		}
		yield(r.text(in))
		return
	}
	stopped := false
	err = in.each(c, func(rec rawRecord) bool {
		stopped = !r.record(rec, yield)
		return !stopped
	})
	if !stopped && len(r.held) > 0 {
		stopped = !r.settle(true, yield)
	}
	if !stopped {
		r.g.unusedScales()
	}
	if err != nil && !stopped {
		yield(nil, err)
	}
}

// text reads the whole file as one reply, which stands on no line of it.
func (r *reader) text(in *input) (*content, error) {
	body, err := io.ReadAll(io.LimitReader(in.r, MaxRecord+1))
	if err != nil {
		return nil, in.readError(err)
	}
	if len(body) > MaxRecord {
		return nil, fmt.Errorf("%s: %s", r.name, tooLong())
	}
	if !utf8.Valid(body) {
		line := 1 + strings.Count(string(body[:validPrefix(body)]), "\n")
		return nil, r.bad(line, "not valid UTF-8; a reply is text")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, r.bad(1, "the file is empty, so there is no reply")
	}
	src := Source{File: r.name}
	return &content{source: src, reply: &Reply{Response: Response{Text: string(body)}, Source: src}}, nil
}

func validPrefix(b []byte) int {
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// idColumns are the names that files have for a record's own id.
var idColumns = []string{"id", "prompt_id", "pair_id", "question_id"}

// id gives the record's own id: a text as it is, a number as written. Only the
// column "id" is taken; the others say more than which record it is.
func (v *view) id() string {
	for _, key := range idColumns {
		raw := v.obj.Get(key)
		id, err := unquote(raw)
		if kindOf(raw) == '0' {
			id, err = string(raw), nil
		}
		if err == nil {
			if key == "id" {
				v.get(key)
			}
			return id
		}
	}
	return ""
}

// unknownShape says what a record has and what it should have.
func unknownShape(o Object) string {
	keys := make([]string, 0, len(o))
	for _, f := range o {
		keys = append(keys, f.Key)
	}
	has := "it has no columns"
	if len(keys) > 0 {
		if len(keys) > 12 {
			keys = append(keys[:12], "…")
		}
		has = "it has " + strings.Join(keys, ", ")
	}
	for _, f := range o {
		if firstKind(f.Value) == '{' && !knownColumn(f.Key) {
			has += fmt.Sprintf("; if %s holds the records, jq -c '.%s[]' writes them as JSON Lines", f.Key, f.Key)
			break
		}
	}
	return "neither a pair (prompt, chosen, rejected) nor a reply (prompt, response): " + has
}

var errNoPrompt = errors.New("no prompt")
