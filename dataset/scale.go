package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// labelValue is one value of a label column. It is the same whether it came as a
// number, a boolean or a text, so that cells of CSV mean what JSON means.
type labelValue struct {
	kind byte    // one of the kinds below; 0 where there is no value
	x    float64 // the number, the place, or what a verdict says of the first reply
	text string  // as a scale names it: a number as shortly as it goes, a text in lower case
}

const (
	kindNumber  = '0'
	kindBool    = 'b' // x is 1 for true
	kindVerdict = 'v' // a name that can only mean one of the replies, or a tie
	kindPlace   = 'p' // a name with a number, such as response_1
	kindText    = 't'
)

// verdicts are the names that can only mean one thing; see also verdictOf.
var verdicts = map[string]float64{
	"a": 1, "first": 1, "1st": 1, "left": 1, "a>b": 1, "a>>b": 1, "1>2": 1,
	"b": 0, "second": 0, "2nd": 0, "right": 0, "b>a": 0, "b>>a": 0, "2>1": 0, "a<b": 0, "a<<b": 0,
	"tie": 0.5, "tied": 0.5, "draw": 0.5, "equal": 0.5, "same": 0.5, "both": 0.5, "neither": 0.5, "a=b": 0.5, "b=a": 0.5, "1=2": 0.5,
	"tie (bothbad)": 0.5, "tie (both bad)": 0.5, "both_bad": 0.5, "bothbad": 0.5, "both bad": 0.5, "both_good": 0.5, "both good": 0.5,
}

// replyStems are what the names of two replies have in common.
var replyStems = []string{"response", "output", "text", "conversation", "answer", "completion", "reply", "summary", "assistant", "human_ref"}

// sideStems are the further words by which a label names one of two replies.
var sideStems = append([]string{"model", "option", "candidate", "choice", "generator"}, replyStems...)

// parseLabel reads a value of a label column. It knows nothing of the record, see
// [reading.labelValue].
func parseLabel(raw json.RawMessage) labelValue {
	switch kindOf(raw) {
	case 0, 'n', '[', '{':
		return labelValue{}
	case 't':
		return labelValue{kindBool, 1, "true"}
	case 'f':
		return labelValue{kindBool, 0, "false"}
	case '0':
		return numberLabel(string(raw))
	}
	text, err := unquote(raw)
	if err != nil {
		return labelValue{}
	}
	return namedLabel(text)
}

func numberLabel(text string) labelValue {
	if len(text) == 1 && text[0] >= '0' && text[0] <= '9' { // most of them, and quick
		const digits = "0123456789"
		d := text[0] - '0'
		return labelValue{kindNumber, float64(d), digits[d : d+1]}
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !finite(x) {
		return labelValue{kindText, 0, text}
	}
	return labelValue{kindNumber, x + 0, formatNumber(x)} // + 0: of −0
}

func formatNumber(x float64) string { return strconv.FormatFloat(x+0, 'g', -1, 64) }

func namedLabel(text string) labelValue {
	name := strings.ToLower(strings.TrimSpace(text))
	if strings.HasPrefix(name, "[[") && strings.HasSuffix(name, "]]") {
		name = name[2 : len(name)-2]
	}
	switch name {
	case "", "nan", "null", "n/a", "na":
		return labelValue{}
	case "true", "yes":
		return labelValue{kindBool, 1, "true"}
	case "false", "no":
		return labelValue{kindBool, 0, "false"}
	}
	if c := name[0]; c == '-' || c == '+' || c == '.' || c >= '0' && c <= '9' {
		if v := numberLabel(name); v.kind == kindNumber && !strings.Contains(name, "x") && !strings.Contains(name, "_") {
			return v
		}
	}
	if p, ok := verdicts[name]; ok {
		return labelValue{kindVerdict, p, name}
	}
	for _, stem := range sideStems {
		rest, ok := strings.CutPrefix(name, stem)
		if !ok {
			continue
		}
		switch rest = strings.TrimLeft(rest, "_- "); rest {
		case "a", "left", "first":
			return labelValue{kindVerdict, 1, name}
		case "b", "right", "second":
			return labelValue{kindVerdict, 0, name}
		case "0", "1", "2":
			return labelValue{kindPlace, float64(rest[0] - '0'), name}
		}
	}
	return labelValue{kindText, 0, name}
}

// scale says what the values of one label column mean.
type scale struct {
	exact map[string]float64 // by labelValue.text: 1 for the first, 0 for the second, 0.5 for a tie, NaN for no label
	spans []scaleSpan        // of numbers
	names bool               // verdicts mean what they say
	// places tells that a name's number is the place of a reply, of which the first is
	// from.
	places bool
	from   float64
	// weighted is AlpacaEval's: 1 is the first, 2 the second, and between them a
	// weighted choice.
	weighted bool
	said     string // the scale in words
}

// scaleSpan gives one meaning to all numbers from lo to hi.
type scaleSpan struct{ lo, hi, p float64 }

// of gives the probability of the first reply, and by how much it is the better
// one where the scale has grades: positive for the first, NaN where it has none.
func (s *scale) of(v labelValue) (p, strength float64, ok bool) {
	if p, ok := s.exact[v.text]; ok && v.kind != 0 {
		return p, s.strength(v, p), true
	}
	switch {
	case v.kind == kindVerdict && s.names:
		return v.x, math.NaN(), true
	case v.kind == kindPlace && s.places && (v.x == s.from || v.x == s.from+1):
		return 1 - (v.x - s.from), math.NaN(), true
	case v.kind != kindNumber:
	case s.weighted && v.x >= 1 && v.x <= 2:
		return 2 - v.x, math.NaN(), true
	default:
		for _, r := range s.spans {
			if v.x >= r.lo && v.x <= r.hi {
				return r.p, s.strength(v, r.p), true
			}
		}
	}
	return 0, 0, false
}

// strength is how far a grade lies from the middle between the two sides of its
// scale.
func (s *scale) strength(v labelValue, p float64) float64 {
	if v.kind != kindNumber || len(s.spans) == 0 || math.IsNaN(p) {
		return math.NaN()
	}
	bounds := [2]scaleSpan{{math.Inf(1), math.Inf(-1), 0}, {math.Inf(1), math.Inf(-1), 1}} // by p
	for _, r := range s.spans {
		if r.p == 0 || r.p == 1 {
			b := &bounds[int(r.p)]
			b.lo, b.hi = min(b.lo, r.lo), max(b.hi, r.hi)
		}
	}
	var middle float64
	switch second, first := bounds[0], bounds[1]; {
	case first.hi < second.lo:
		middle = (first.hi + second.lo) / 2
	case second.hi < first.lo:
		middle = (second.hi + first.lo) / 2
	default:
		return math.NaN() // one side only, or sides that lie within each other
	}
	x := math.Abs(v.x - middle)
	switch p {
	case 0:
		return -x
	case 0.5:
		return 0
	}
	return x
}

// meanings are the words of a scale.
var meanings = map[string]float64{"first": 1, "second": 0, "tie": 0.5, "none": math.NaN()}

func meaning(p float64) string {
	switch {
	case math.IsNaN(p):
		return "none"
	case p == 1:
		return "first"
	case p == 0:
		return "second"
	}
	return "tie"
}

// Scales are what a user says of label columns, by column; "" is the one that is
// in use.
type Scales map[string]*scale

// String gives the scales in words, in the order of their columns.
func (all Scales) String() string {
	var parts []string
	for _, column := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, column+": "+all[column].said)
	}
	return strings.Join(parts, "; ")
}

// ParseScales reads scales as lists of "VALUE=MEANING", separated by commas. In front
// of a value, "COLUMN:" says for which of several label columns it and those after it
// are. A value is a number, a span of them such as -3..-1, true, false, or a name; a
// meaning is first, second, tie or none.
func ParseScales(lists []string) (Scales, error) {
	all := Scales{}
	for _, list := range lists {
		column := ""
		for _, item := range splitItems(list, false) {
			if err := all.add(item, &column); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// splitItems splits a list of items with "=" at its commas. A part without "=" belongs
// to the item after it or, with before, to the one before it.
func splitItems(list string, before bool) (items []string) {
	kept := ""
	for part := range strings.SplitSeq(list, ",") {
		switch {
		case strings.Contains(part, "="):
			items, kept = append(items, kept+part), ""
		case before && len(items) > 0:
			items[len(items)-1] += "," + part
		default:
			kept += part + ","
		}
	}
	if kept != "" {
		items = append(items, strings.TrimSuffix(kept, ","))
	}
	return items
}

func (all Scales) add(item string, column *string) error {
	at := strings.LastIndex(item, "=")
	if at <= 0 {
		return fmt.Errorf("%q: VALUE=MEANING is expected, such as 0=first", item)
	}
	name, word := strings.TrimSpace(item[:at]), strings.ToLower(strings.TrimSpace(item[at+1:]))
	if c, value, ok := strings.Cut(name, ":"); ok && c != "" && value != "" {
		*column, name = strings.TrimSpace(c), strings.TrimSpace(value)
	}
	p, ok := meanings[word]
	if !ok {
		return fmt.Errorf("%q: a value means first, second, tie or none", item)
	}
	s := all[*column]
	if s == nil {
		s = &scale{exact: map[string]float64{}}
		all[*column] = s
	}
	if err := s.add(name, p); err != nil {
		return fmt.Errorf("%q: %w", item, err)
	}
	return nil
}

func (s *scale) add(name string, p float64) error {
	if lo, hi, ok := strings.Cut(name, ".."); ok {
		a, b := numberLabel(strings.TrimSpace(lo)), numberLabel(strings.TrimSpace(hi))
		if a.kind != kindNumber || b.kind != kindNumber || a.x > b.x {
			return errors.New("a span goes from a number to one that is not smaller, such as -3..-1")
		}
		for _, r := range s.spans {
			if a.x <= r.hi && r.lo <= b.x {
				return errors.New("it overlaps another span")
			}
		}
		s.spans = append(s.spans, scaleSpan{a.x, b.x, p})
	} else {
		v := namedLabel(name)
		if v.kind == 0 {
			return errors.New("no value")
		}
		if _, twice := s.exact[v.text]; twice {
			return errors.New("the value is there twice")
		}
		s.exact[v.text] = p
	}
	if s.said != "" {
		s.said += ", "
	}
	s.said += name + " = " + meaning(p)
	return nil
}

// scaleOf makes a scale of the items that [ParseScales] takes.
func scaleOf(items string) *scale {
	all, err := ParseScales([]string{items})
	if err != nil {
		panic(err) // those that are written below
	}
	return all[""]
}

// readings are the ways in which people count, most of which exclude each other.
var readings = []string{
	"0=first,1=second", "1=first,0=second", "1=first,2=second",
	"0=tie,1=first,2=second", "0=first,1=second,2=tie",
	"1=first,2=second,3=tie", "1=first,2=tie,3=second",
	"-1=first,0=tie,1=second", "1=first,0=tie,-1=second",
	"true=first,false=second", "true=second,false=first",
}

// readingsOf lists the scales that have a meaning for all the values, each as
// [ParseScales] takes it. One that only adds values to another is left out.
func readingsOf(values []labelValue) (out []string) {
	var scales []*scale
	largest, graded := 0.0, false
	for _, v := range values {
		if v.kind == kindNumber {
			largest = max(largest, math.Abs(v.x))
			graded = graded || v.x < 0
		}
	}
	all := slices.DeleteFunc(slices.Clone(readings), func(items string) bool { return !graded && strings.Contains(items, "-1=") })
	if k := formatNumber(math.Ceil(largest)); graded && largest > 1 {
		all = []string{"-" + k + "..-1=first,0=tie,1.." + k + "=second", "1.." + k + "=first,0=tie,-" + k + "..-1=second"}
	}
next:
	for _, items := range all {
		s := scaleOf(items)
		for _, v := range values {
			if _, _, ok := s.of(v); !ok && v.kind != kindVerdict {
				continue next
			}
		}
		for _, smaller := range scales {
			if within(smaller, s) {
				continue next
			}
		}
		scales, out = append(scales, s), append(out, items)
	}
	return out
}

// within tells whether a scale has all that another has, with the same meaning.
func within(a, b *scale) bool {
	if len(a.exact) == 0 {
		return false
	}
	for k, p := range a.exact {
		if q, ok := b.exact[k]; !ok || p != q {
			return false
		}
	}
	return true
}

// inWords gives the part of a scale that concerns the values, as people read it.
func inWords(items string, values []labelValue) string {
	var parts []string
	for item := range strings.SplitSeq(items, ",") {
		name, word, _ := strings.Cut(item, "=")
		if strings.Contains(name, "..") || len(values) == 1 || slices.ContainsFunc(values, func(v labelValue) bool { return v.text == name }) {
			parts = append(parts, name+" = "+word)
		}
	}
	return strings.Join(parts, ", ")
}
