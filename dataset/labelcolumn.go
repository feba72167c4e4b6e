package dataset

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// The kinds of columns that may say which of two replies is better.
const (
	labelProb   = 'P' // label_prob
	labelChoice = 'c' // one choice
	labelVotes  = 'v' // a list of several people's choices
	labelVote   = 'n' // one of several people's choices, in a column each: annotator1 …
	labelFlag   = 'f' // whether one side has won, or whether it is a tie
	labelScore  = 's' // a score of one side, of which the higher is the better
	labelWorse  = 'w' // rejected, where it points at the worse one of two replies
)

// labelColumns are the names for one person's or one model's choice between two
// replies, the likeliest first.
var labelColumns = []string{
	"label", "winner", "preferred", "preferred_text", "preference", "choice",
	"overall_preference", "preference_strength", "better_response_id", "safer_response_id", "chosen",
}

// annotators is the name under which columns annotator1, annotator2 … have their
// scale.
const annotators = "annotators"

// labelKind tells whether a column may say which reply is better, and for a flag or
// a score of which side it speaks: '1' the first, '2' the second, '=' a tie. zero
// tells that the replies' own names count from 0.
func labelKind(key string, zero bool) (kind, side byte) {
	switch key {
	case "label_prob":
		return labelProb, 0
	case "labels", annotators:
		return labelVotes, 0
	case "rejected":
		return labelWorse, 0
	case "score_0":
		return labelScore, '1'
	case "score_1":
		return labelScore, '2'
	}
	if slices.Contains(labelColumns, key) {
		return labelChoice, 0
	}
	if n, ok := strings.CutPrefix(key, "annotator"); ok && n != "" && strings.Trim(n, "0123456789") == "" {
		return labelVote, 0
	}
	if side := flagSide(key, zero); side != 0 {
		return labelFlag, side
	}
	return 0, 0
}

// flagWords are the words of a flag's name beside the one for its side.
var flagWords = map[string]bool{ // true: it says that the side has won
	"winner": true, "wins": true, "win": true, "won": true, "better": true, "preferred": true, "prefer": true, "prefers": true,
	"is": false, "the": false, "model": false, "response": false, "reply": false, "answer": false, "output": false, "assistant": false, "human": false,
}

// flagSide gives the side that a flag's name speaks of, such as winner_model_a,
// first_wins, is_a_better or tie; 0 if the name is no flag's.
func flagSide(key string, zero bool) (side byte) {
	if len(key) > 40 {
		return 0
	}
	won := false
	for _, word := range strings.FieldsFunc(strings.ToLower(key), func(r rune) bool { return r == '_' || r == '-' || r == ' ' }) {
		s := byte(0)
		switch word {
		case "a", "first", "left":
			s = '1'
		case "b", "second", "right":
			s = '2'
		case "tie", "tied", "draw":
			s, won = '=', true
		case "0", "1", "2":
			if zero == (word == "2") || !zero && word == "0" {
				return 0
			}
			s = '1'
			if word == "2" || zero && word == "1" {
				s = '2'
			}
		default:
			w, ok := flagWords[word]
			if !ok {
				return 0
			}
			won = won || w
			continue
		}
		if side != 0 {
			return 0
		}
		side = s
	}
	if !won {
		return 0
	}
	return side
}

// What a column is not used for without a word: the one says nothing, of the other a
// value that would is an error.
const (
	saysNothing = "-"
	noFlag      = "no flag"
)

// maxDistinct is how many values of a label column are told apart; a column of more
// is one of numbers on a scale of its own.
const maxDistinct = 64

// labelColumn is a label column of a file and what its values mean there.
type labelColumn struct {
	name string
	kind byte
	side byte                  // of a flag
	seen map[string]labelValue // but for texts; as far as maxDistinct
	text string                // one of the texts that say nothing, empty where there is none
	// scale is what the values mean, nil while that is open.
	scale *scale
	// settled tells that no value within the scale can change it; otherwise a new one
	// is looked at together with those that were seen.
	settled bool
	// unused tells why the column says nothing; empty where it is used.
	unused string
	noted  bool // that it says nothing beside chosen and rejected
}

// values are those that were seen, numbers in their order.
func (c *labelColumn) values() []labelValue {
	out := slices.Collect(maps.Values(c.seen))
	slices.SortFunc(out, func(a, b labelValue) int {
		if a.kind == b.kind && a.x != b.x && a.kind == kindNumber {
			if a.x < b.x {
				return -1
			}
			return 1
		}
		return strings.Compare(a.text, b.text)
	})
	return out
}

func valueTexts(values []labelValue) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, v.text)
	}
	if n := len(texts); n > 8 {
		texts = append(texts[:7], "…")
	} else if n > 1 {
		texts = append(texts[:n-2], texts[n-2]+" and "+texts[n-1])
	}
	return strings.Join(texts, ", ")
}

// see notes a value, and tells whether it is a new one.
func (c *labelColumn) see(v labelValue) bool {
	switch v.kind {
	case 0:
		return false
	case kindText:
		known := c.text != ""
		if !known {
			c.text = v.text
		}
		return !known
	}
	if _, known := c.seen[v.text]; known || len(c.seen) >= maxDistinct {
		return false
	}
	if c.seen == nil {
		c.seen = map[string]labelValue{}
	}
	c.seen[v.text] = v
	return true
}

// decision is what a column's values allow.
type decision struct {
	scale   *scale
	settled bool // whatever else comes, within the scale
	unused  string
	refused *UndecidedError
}

// labelKnown are the scales that a format or a column's name defines.
var (
	scaleIndex   = scaleFrom(0)
	scaleFromOne = scaleFrom(1)
	scaleFlag    = &scale{exact: map[string]float64{"true": 1, "1": 1, "false": 0, "0": 0}}
	scaleVotes   = scaleOf("0=tie,1=first,2=second")
	scaleSHP     = scaleOf("1=first,0=second")
	scaleGraded  = scaleOf("-3..-1=first,0=tie,1..3=second")
	scaleNames   = &scale{names: true}
	scaleAlpaca  = &scale{weighted: true, said: "1 = first, 2 = second, between them a weighted choice"}
	scaleDraws   = &scale{weighted: true, exact: map[string]float64{"0": 0.5}, said: "1 = first, 2 = second, 0 = tie"}
)

// scaleFrom is one of places, and of names that have them.
func scaleFrom(n int) *scale {
	s := scaleOf(fmt.Sprintf("%d=first,%d=second", n, n+1))
	s.names, s.places, s.from = true, true, float64(n)
	return s
}

func init() {
	scaleGraded.spans[0] = scaleSpan{-3, math.Nextafter(0, -1), 1} // grades between the whole ones are means of several people's
	scaleGraded.spans[1] = scaleSpan{math.SmallestNonzeroFloat64, 3, 0}
	scaleGraded.said = "negative = first, 0 = tie, positive = second"
}

// has tells whether all of the column's numbers are among those given, and which of
// them are there.
func (c *labelColumn) numbers(of ...float64) (only bool, there []bool) {
	only, there = true, make([]bool, len(of))
	for _, v := range c.seen {
		i := slices.Index(of, v.x)
		if v.kind != kindNumber && v.kind != kindPlace || i < 0 {
			only = only && v.kind == kindVerdict && v.x == 0.5
			continue
		}
		there[i] = true
	}
	return only, there
}

// kinds tells which kinds of values the column has; sides are names of a reply.
func (c *labelColumn) kinds() (numbers, bools, sides, places bool) {
	for _, v := range c.seen {
		switch v.kind {
		case kindNumber:
			numbers = true
		case kindBool:
			bools = true
		case kindPlace:
			places = true
		default:
			sides = sides || v.x != 0.5
		}
	}
	return numbers, bools, sides, places
}

// decide gives what the column's values mean in the file, as far as they can be
// told: a decision without anything is open. With final no more values are awaited.
func (c *labelColumn) decide(g *reading, final bool) decision {
	if s := g.userScale(c); s != nil {
		return decision{scale: s, settled: true}
	}
	if c.kind == labelFlag {
		return c.decideFlag(final)
	}
	if d := c.decideKnown(g, final); d != nil {
		return *d
	}
	numbers, bools, sides, places := c.kinds()
	switch {
	case sides && !numbers && !bools:
		return decision{scale: scaleNames, settled: true}
	case len(c.seen) == 0:
		if final {
			return decision{unused: fmt.Sprintf("no value of it, such as %q, says which reply is better", c.text)}
		}
		return decision{}
	case !numbers && !bools && !places: // ties alone
		if final {
			return decision{scale: scaleNames, settled: true}
		}
		return decision{}
	}
	if !final {
		return decision{} // a value to come may make the others mean something else
	}
	// The replies' own names count, or those of the values: then a number is the place
	// of a reply.
	if only, at := c.numbers(0, 1); only && (g.fromZero() || places && !numbers && !bools && at[0]) {
		return decision{scale: scaleIndex, settled: at[0] && at[1]}
	}
	if only, at := c.numbers(1, 2); only && at[0] && at[1] && !g.fromZero() {
		return decision{scale: scaleFromOne, settled: true}
	}
	return decision{refused: c.refuse(g)}
}

// decideFlag takes true and false, or 1 and 0. A text under such a name is no flag, and
// needs no word.
func (c *labelColumn) decideFlag(final bool) decision {
	for _, v := range c.seen {
		if _, _, ok := scaleFlag.of(v); ok {
			return decision{scale: scaleFlag, settled: true}
		}
	}
	if !final {
		return decision{}
	}
	return decision{unused: noFlag}
}

// decideKnown takes the scales that a format or a column's own name defines, nil
// where neither does, or where the values are other ones.
func (c *labelColumn) decideKnown(g *reading, final bool) *decision {
	if _, _, sides, _ := c.kinds(); sides || len(c.seen) == 0 {
		return nil
	}
	two := g.two
	switch c.name {
	case "overall_preference", "preference_strength":
		// HelpSteer3 and HelpSteer2: negative grades are for the first reply in both.
		if two == [2]string{"response1", "response2"} && c.name == "overall_preference" || two == [2]string{"response_1", "response_2"} && c.name == "preference_strength" {
			return &decision{scale: scaleGraded, settled: true}
		}
	case "labels":
		if two[0] == "human_ref_A" {
			return &decision{scale: scaleSHP, settled: true}
		}
	case "chosen":
		if _, both := g.labels["rejected"]; both {
			return c.decidePointer()
		}
	}
	switch {
	case c.name == "choice" && g.format.name == "summaries":
		return &decision{scale: scaleIndex, settled: true}
	case c.name == "label" && (g.isNamed("llmbar") || g.has("input") && !g.has("prompt") && two == [2]string{"output_1", "output_2"}):
		return c.decideOwn(g.isNamed("llmbar"), scaleFromOne, []float64{1, 2}, final)
	case c.name == annotators && (g.isNamed("pandalm") || !g.fromZero()):
		return c.decideOwn(g.isNamed("pandalm") || g.ofPandaLM(), scaleVotes, []float64{1, 2, 0}, final)
	case c.name == "preference" && (g.isNamed("alpaca") || two == [2]string{"output_1", "output_2"}):
		return c.decideAlpaca(g.isNamed("alpaca"), final)
	}
	return nil
}

// decideOwn takes the scale of a format that counts from 1. Numbers that may as well
// count otherwise are not taken for it, unless it is certain that the format is that.
func (c *labelColumn) decideOwn(certain bool, s *scale, numbers []float64, final bool) *decision {
	only, at := c.numbers(numbers...)
	zero := len(at) > 2 && at[2]
	switch {
	case certain, only && at[1] && len(at) > 2: // all that there may be is in the scale
		return &decision{scale: s, settled: true}
	case !only:
		return nil
	case !final:
		return &decision{}
	case zero:
		return nil
	}
	return &decision{scale: s, settled: at[1]}
}

func (g *reading) isNamed(format string) bool { return g.named && g.format.name == format }

// has tells whether the records have a column.
func (g *reading) has(key string) bool { return slices.Contains(g.plan.keys, key) }

// ofPandaLM tells whether a record has all the columns of PandaLM's own file.
func (g *reading) ofPandaLM() bool {
	for _, key := range []string{"instruction", "input", "response1", "response2", "annotator1", "annotator2", "annotator3"} {
		if !g.has(key) {
			return false
		}
	}
	return true
}

func (c *labelColumn) decideAlpaca(certain, final bool) *decision {
	if certain {
		return &decision{scale: scaleDraws, settled: true}
	}
	above, zero := false, false
	for _, v := range c.seen {
		if v.kind != kindNumber || v.x != 0 && !(v.x >= 1 && v.x <= 2) {
			return nil
		}
		above = above || v.x > 1
		zero = zero || v.x == 0
	}
	switch {
	case above:
		return &decision{scale: scaleDraws, settled: true}
	case zero: // 0 and 1 may as well be the first and the second
		return nil
	case final:
		return &decision{scale: scaleAlpaca}
	}
	return &decision{}
}

// decidePointer takes chosen and rejected as the places of two replies: together
// they have both numbers in every record.
func (c *labelColumn) decidePointer() *decision {
	if only, at := c.numbers(0, 1); only && at[0] && at[1] {
		return &decision{scale: scaleIndex, settled: true}
	}
	return nil
}

// refuse names the ways in which the column can be read.
func (c *labelColumn) refuse(g *reading) *UndecidedError {
	values := c.values()
	e := &UndecidedError{File: g.file, Column: c.name}
	var words []string
	names := "" // of which there is no doubt
	for _, v := range values {
		if v.kind == kindVerdict {
			names += "," + v.text + "=" + meaning(v.x)
		}
	}
	for _, items := range readingsOf(values) {
		words = append(words, `"`+inWords(items, values)+`"`)
		e.Scales = append(e.Scales, g.option(c, items+names))
	}
	if len(words) == 0 {
		e.Reason = fmt.Sprintf("%s: what %s mean is not known", c.name, valueTexts(values))
		if slices.ContainsFunc(values, func(v labelValue) bool {
			return v.kind == kindNumber && v.x > 0 && v.x < 1
		}) && !slices.ContainsFunc(values, func(v labelValue) bool { return v.x < 0 || v.x > 1 }) {
			e.Reason += "; a probability that the first reply is better is read from label_prob"
			e.Columns = []string{"label_prob=" + g.original(c.name)}
		} else {
			e.Scales = []string{g.option(c, values[0].text+"=first") + ",…"}
		}
		return e
	}
	last := len(words) - 1
	can := strings.Join(words, "")
	if last > 0 {
		can = strings.Join(words[:last], ", ") + " or " + words[last]
	}
	e.Reason = fmt.Sprintf("%s: %s can mean %s", c.name, valueTexts(values), can)
	return e
}
