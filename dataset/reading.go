package dataset

import (
	"encoding/json"
	"slices"
	"strings"
)

const (
	// lookahead is how many records are looked at where the first ones leave open what
	// the file means, and heldBytes how many bytes of them.
	lookahead = 512
	heldBytes = 4 << 20
)

// reading is what the records of a file mean. It is decided once, over its first
// records, and the rest is held to it.
type reading struct {
	file string
	tell func(Told)
	said map[string]bool

	format *format
	named  bool // the user named the format
	// certain tells that the format is, begun that it was said; likely is one that
	// later records may still change.
	certain, begun bool
	likely         *format
	// columns are our names by the file's, where the user gave them; missing are those
	// of the file that no record had yet, have those that records had.
	columns       map[string]string
	missing, have []string
	chosen        bool // the user gave a name to label, which then is the only label
	scales        Scales
	// unlabelled tells that labels are of no matter.
	unlabelled bool
	// texts are columns of replies whose texts are the JSON of messages, and open those
	// of which that is not certain yet.
	texts map[string]bool
	open  map[string]bool
	repr  string // a column of Python's
	// implicit tells that the prompt is what both replies begin with.
	implicit bool
	two      [2]string // the columns of two replies in no order of merit
	third    string    // what a third one would be called
	labels   map[string]*labelColumn
	applied  string // the column that the scale without a column is for
	plan     plan
	checked  int // columns of messages that were compared with the prompt
}

func newReading(file string, o ReadOptions) *reading {
	g := &reading{file: file, tell: o.Told, said: map[string]bool{}, scales: o.Scales, unlabelled: o.Unlabelled, labels: map[string]*labelColumn{}, texts: map[string]bool{}, open: map[string]bool{}}
	if len(o.Columns) > 0 {
		g.columns = make(map[string]string, len(o.Columns))
		for ours, theirs := range o.Columns {
			g.columns[theirs] = ours
			g.missing = append(g.missing, theirs)
		}
		slices.Sort(g.missing)
		_, g.chosen = o.Columns["label"]
	}
	return g
}

// note says something once.
func (g *reading) note(kind ToldKind, column, text string) {
	if g.tell != nil && !g.said[text] {
		g.said[text] = true
		g.tell(Told{File: g.file, Kind: kind, Column: column, Text: text})
	}
}

// found says which format was detected.
func (g *reading) found() {
	if g.tell != nil && !g.named && g.format != &promptFormat {
		g.tell(Told{File: g.file, Kind: ToldFormat, Format: g.format.name, Text: g.format.why})
	}
}

// original is the file's own name of a column.
func (g *reading) original(name string) string {
	for theirs, ours := range g.columns {
		if ours == name {
			return theirs
		}
	}
	return name
}

// option gives a scale as [ParseScales] takes it for the column.
func (g *reading) option(c *labelColumn, items string) string {
	if g.candidates() > 1 {
		return c.name + ":" + items
	}
	return items
}

// candidates counts the columns that a scale without a column could be for.
func (g *reading) candidates() (n int) {
	for _, c := range g.labels {
		if (c.kind == labelChoice || c.kind == labelVotes || c.kind == labelVote) && (len(c.seen) > 0 || c.text != "") {
			n++
		}
	}
	return n
}

// userScale is what the user said of the column, nil for nothing.
func (g *reading) userScale(c *labelColumn) *scale {
	if s := g.scales[c.name]; s != nil {
		return s
	}
	if s := g.scales[g.original(c.name)]; s != nil {
		return s
	}
	if g.applied == c.name {
		return g.scales[""]
	}
	return nil
}

// fromZero tells whether the replies' own names count from 0.
func (g *reading) fromZero() bool { return strings.HasSuffix(g.two[0], "0") }

// plan is where the columns stand that reading looks for in every record. It holds
// as long as the records have the same columns.
type plan struct {
	keys   []string
	labels []labelAt
	// prompts are columns that may belong to the prompt.
	prompts []int
	// calls are columns of tool calls beside the messages.
	calls []int
	parts bool // of the prompt, beside its main column
}

type labelAt struct {
	at   int
	kind byte
	side byte
	name string // of the [labelColumn]
}

func (p *plan) fits(o Object) bool {
	if len(p.keys) != len(o) {
		return false
	}
	for i := range o {
		if o[i].Key != p.keys[i] {
			return false
		}
	}
	return true
}

// look makes the plan for a record's columns, if it is not the one that is there.
func (g *reading) look(o Object) {
	open := g.format != nil && g.format.order == orderOpen
	if g.plan.keys != nil && g.plan.fits(o) && (!open || has(o, g.two[0]) && has(o, g.two[1])) {
		return
	}
	p := plan{keys: make([]string, len(o))}
	g.two[0], g.two[1], _ = twoOf(o)
	g.third = ""
	for _, t := range twoColumns {
		if t.names == g.two {
			g.third = t.third
		}
	}
	for i := range o {
		key := o[i].Key
		p.keys[i] = key
		if mayBePrompt(key) {
			p.prompts = append(p.prompts, i)
			p.parts = p.parts || promptPart(key)
		}
		if slices.ContainsFunc(callKeys, func(k string) bool { return key == k || strings.HasSuffix(key, "_"+k) }) {
			p.calls = append(p.calls, i)
		}
		if g.format == nil || g.format.order == orderNone || g.unlabelled {
			continue
		}
		if kind, side := g.labelAt(key); kind != 0 {
			name := key
			if kind == labelVote {
				name = annotators
			}
			p.labels = append(p.labels, labelAt{i, kind, side, name})
		}
	}
	g.plan = p
}

// labelAt is [labelKind] for the file.
func (g *reading) labelAt(key string) (kind, side byte) {
	kind, side = labelKind(key, g.fromZero())
	if kind == 0 && g.scales[key] != nil {
		kind = labelChoice
	}
	switch {
	case g.chosen && key != "label":
		return 0, 0
	case kind == labelProb:
	case kind == labelScore && g.two != [2]string{"answer_0", "answer_1"}, // WebGPT's
		(key == "chosen" || kind == labelWorse) && g.format.order != orderOpen,
		g.format.order == orderChosen && kind != labelChoice && side != '=':
		return 0, 0
	}
	return kind, side
}

// labelValue reads a value of a label column: beside the names that everybody has, a
// reply may be named by its column, its author, or its own text.
func (g *reading) labelValue(o Object, raw json.RawMessage) labelValue {
	v := parseLabel(raw)
	if kindOf(raw) != '"' || g.two[0] == "" || v.kind == kindNumber || v.kind == kindBool || v.kind == 0 {
		return v
	}
	for i, column := range g.two {
		if strings.EqualFold(v.text, column) {
			return labelValue{kindVerdict, 1 - float64(i), v.text}
		}
	}
	if v.kind != kindText {
		return v
	}
	text, _ := unquote(raw)
	names := [2]string{authorOf(o, g.authors(0)...), authorOf(o, g.authors(1)...)}
	for i, column := range g.two {
		reply, _ := getText(o, column)
		other, _ := getText(o, g.two[1-i])
		if text == names[i] && text != names[1-i] || text == reply && text != other {
			return labelValue{kindVerdict, 1 - float64(i), "(its name)"}
		}
	}
	return v
}

// labelItems gives the values of a label column in a record, of which there are
// several in a list.
func labelItems(raw json.RawMessage) []json.RawMessage {
	if kindOf(raw) != '[' {
		return []json.RawMessage{raw}
	}
	items, err := elements(raw)
	if err != nil {
		return nil
	}
	return items
}

// empty tells whether a value is none: null, or an empty cell.
func empty(raw json.RawMessage) bool {
	k := kindOf(raw)
	return k == 0 || k == 'n' || k == '"' && len(raw) == 2
}

// settledFor tells whether all is decided that a record needs.
func (g *reading) settledFor(o Object) bool {
	g.look(o)
	for _, l := range g.plan.labels {
		if l.kind == labelProb || l.kind == labelScore || empty(o[l.at].Value) {
			continue
		}
		if c := g.labels[l.name]; c == nil || c.scale == nil && c.unused == "" {
			return false
		}
	}
	return true
}

// tally notes the values of a record's label columns.
func (g *reading) tally(o Object) {
	g.look(o)
	for _, l := range g.plan.labels {
		raw := o[l.at].Value
		if l.kind == labelScore || empty(raw) {
			continue
		}
		c := g.labels[l.name]
		if c == nil {
			c = &labelColumn{name: l.name, kind: l.kind, side: l.side}
			g.labels[l.name] = c
		}
		if l.kind == labelProb {
			continue
		}
		for _, item := range labelItems(raw) {
			c.see(g.labelValue(o, item))
		}
	}
}
