package rubric

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cai/constitution"
	"cai/toml"
)

// Limits of a rubric file.
const (
	maxFile     = 1 << 20 // bytes
	maxText     = 4 << 10 // bytes of a text or a level
	maxID       = 64
	maxCriteria = 100
	maxWeight   = 1000
	minLevels   = 2
	// MaxLevels is how many levels have a digit each.
	MaxLevels = 10
)

// Error is one thing that is wrong with a rubric file. [Parse] and [Load] give
// all that they found, joined and in the order of lines.
type Error struct {
	File    string
	Line    int // from 1
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

// Load reads a rubric from a file: TOML, or a rubric of prometheus in JSON. See
// [Parse].
func Load(path string) (*Rubric, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads a rubric from TOML, or from a rubric of prometheus in JSON: an
// object, or a list of objects, with criteria and score1_description,
// score2_description … name is the file's name in messages. A file with
// anything wrong in it gives an error that names every problem with its line.
// What parses may still be of no use: see [Rubric.Lint].
func Parse(name string, data []byte) (*Rubric, error) {
	p := &parser{file: name}
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	switch {
	case len(data) > maxFile:
		p.add(1, "the file is larger than %d MiB", maxFile>>20)
		return nil, p.err()
	case !utf8.ValidString(text):
		p.add(1+strings.Count(text[:validPrefix(text)], "\n"), "the file is not UTF-8")
		return nil, p.err()
	}
	r := &Rubric{}
	if isJSON(text) {
		p.prometheus(text, r)
	} else {
		p.toml(text, r)
	}
	r.File = name
	if len(p.errs) == 0 {
		p.check(r)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// isJSON tells JSON from TOML, which may also begin with a bracket.
func isJSON(text string) bool {
	t := strings.TrimSpace(text)
	return strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") && json.Valid([]byte(t))
}

func validPrefix(s string) int {
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(s)
}

// parser gathers what is wrong with a file.
type parser struct {
	file   string
	top    map[string]int
	places []toml.Place
	errs   []*Error
}

func (p *parser) add(line int, format string, args ...any) {
	p.errs = append(p.errs, &Error{p.file, max(1, line), fmt.Sprintf(format, args...)})
}

func (p *parser) err() error {
	slices.SortStableFunc(p.errs, func(a, b *Error) int { return a.Line - b.Line })
	errs := make([]error, len(p.errs))
	for i, e := range p.errs {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// place gives where the i-th criterion stands.
func (p *parser) place(i int) toml.Place {
	if i < len(p.places) {
		return p.places[i]
	}
	return toml.Place{Line: 1}
}

// toml makes a rubric of a TOML file and notes what is wrong with its keys and the
// types of their values.
func (p *parser) toml(text string, r *Rubric) {
	m, places, bad := toml.Decode(text, "criteria")
	if bad != nil {
		p.add(bad.Line, "%s", bad.Message)
		return
	}
	p.top = places.Keys
	for _, key := range slices.Sorted(maps.Keys(m)) {
		switch v := m[key]; key {
		case "name":
			r.Name = value[string](p, p.top[key], key, "a text", v)
		case "description":
			r.Description = value[string](p, p.top[key], key, "a text", v)
		case "criteria":
		default:
			p.unknown(p.top[key], key, "a rubric", topKeys)
		}
	}
	tables, ok := toml.Tables(m["criteria"])
	if !ok {
		p.add(p.top["criteria"], "criteria must be [[criteria]] tables")
	}
	for i, m := range tables {
		p.places = append(p.places, places.Table(i))
		r.Criteria = append(r.Criteria, p.decode(i, m))
	}
}

// decode makes the i-th criterion of its table. What the table does not say has a
// default that is not 0.
func (p *parser) decode(i int, m map[string]any) Criterion {
	c := Criterion{Weight: 1, Threshold: 0.5}
	texts := map[string]*string{"id": &c.ID, "title": &c.Title, "text": &c.Text, "applies_when": &c.AppliesWhen}
	who := fmt.Sprintf("criterion %d: ", i+1)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		line, what, v := p.place(i).LineOf(key), who+key, m[key]
		switch key {
		case "id", "title", "text", "applies_when":
			*texts[key] = value[string](p, line, what, "a text", v)
		case "levels":
			c.Levels = p.texts(line, what, v)
		case "weight":
			c.Weight = p.number(line, what, v)
		case "threshold":
			c.Threshold = p.number(line, what, v)
		case "veto":
			c.Veto = value[bool](p, line, what, "true or false", v)
		case "reference":
			c.Reference = value[bool](p, line, what, "true or false", v)
		default:
			p.unknown(line, key, "a criterion", criterionKeys)
		}
	}
	_, wrong := m["veto"]
	if _, ok := m["veto"].(bool); ok {
		wrong = false
	}
	if _, ok := m["threshold"]; ok && !c.Veto && !wrong {
		p.add(p.place(i).LineOf("threshold"), "criterion %q: a threshold without veto = true does nothing", clip(c.ID))
	}
	return c
}

// value gives a value of the type that is wanted, or notes that it is none.
func value[T any](p *parser, line int, what, kind string, v any) T {
	x, ok := v.(T)
	if !ok {
		p.add(line, "%s must be %s", what, kind)
	}
	return x
}

func (p *parser) texts(line int, what string, v any) []string {
	list, ok := v.([]any)
	out := make([]string, len(list))
	for i := range list {
		s, text := list[i].(string)
		out[i], ok = s, ok && text
	}
	if !ok {
		p.add(line, "%s must be a list of texts", what)
	}
	return out
}

func (p *parser) number(line int, what string, v any) float64 {
	if n, ok := v.(int64); ok {
		return float64(n)
	}
	return value[float64](p, line, what, "a number", v)
}

var (
	topKeys       = []string{"name", "description", "criteria"}
	criterionKeys = []string{"id", "title", "text", "levels", "weight", "veto", "threshold", "applies_when", "reference"}
)

// unknown notes a key that nothing has.
func (p *parser) unknown(line int, key, what string, known []string) {
	hint := constitution.DidYouMean(key, known)
	if hint == "" {
		hint = fmt.Sprintf("; %s has %s", what, strings.Join(known, ", "))
	}
	p.add(line, "unknown key %q%s", clip(key), hint)
}

// check notes what makes a rubric unusable and tidies its texts.
func (p *parser) check(r *Rubric) {
	p.text(p.top["name"], "name", &r.Name, false)
	p.text(p.top["description"], "description", &r.Description, false)
	switch n := len(r.Criteria); {
	case n == 0:
		p.add(1, "there is no [[criteria]] in the file")
	case n > maxCriteria:
		p.add(p.top["criteria"], "there are %d criteria; %d is the most", n, maxCriteria)
	}
	for i := range r.Criteria {
		p.criterion(&r.Criteria[i], i)
	}
}

func (p *parser) criterion(c *Criterion, i int) {
	pl := p.place(i)
	c.Line = pl.Line
	who := fmt.Sprintf("criterion %d", i+1)
	if strings.TrimSpace(c.ID) != "" {
		who = fmt.Sprintf("criterion %q", clip(c.ID))
	}
	p.text(pl.LineOf("id"), who+": id", &c.ID, true)
	p.text(pl.LineOf("title"), who+": title", &c.Title, false)
	p.text(pl.LineOf("text"), who+": text", &c.Text, true)
	p.text(pl.LineOf("applies_when"), who+": applies_when", &c.AppliesWhen, false)
	if bad := badID(c.ID); c.ID != "" && bad != "" {
		p.add(pl.LineOf("id"), "%s: the id %s", who, bad)
	}
	if n := len(c.Levels); n == 1 || n > MaxLevels {
		p.add(pl.LineOf("levels"), "%s: a scale has %d to %d levels, not %d; leave levels out for a yes-or-no question", who, minLevels, MaxLevels, n)
	}
	for j := range c.Levels {
		p.text(pl.LineOf("levels"), fmt.Sprintf("%s: level %d", who, j+1), &c.Levels[j], true)
	}
	if w := c.Weight; math.IsNaN(w) || math.Abs(w) > maxWeight {
		p.add(pl.LineOf("weight"), "%s: the weight %v is not a number from %d to %d", who, w, -maxWeight, maxWeight)
	}
	if t := c.Threshold; !(t >= 0 && t <= 1) {
		p.add(pl.LineOf("threshold"), "%s: the threshold %v is not from 0 to 1", who, t)
	}
}

// text tidies a text and notes what none may hold.
func (p *parser) text(line int, what string, s *string, needed bool) {
	*s = strings.TrimSpace(*s)
	switch i := strings.IndexFunc(*s, isControl); {
	case *s == "" && needed:
		p.add(line, "%s is missing or blank", what)
	case len(*s) > maxText:
		p.add(line, "%s is %d bytes long; %d is the most", what, len(*s), maxText)
	case i >= 0:
		p.add(line, "%s holds the control character %U", what, []rune((*s)[i:])[0])
	}
}

// isControl tells of characters that no text may hold: those that steer a
// terminal or show a reader another text than the model gets.
func isControl(c rune) bool {
	return unicode.IsControl(c) && c != '\n' && c != '\t' || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069
}

// badID says what is wrong with an id; empty is nothing.
func badID(s string) string {
	if len(s) > maxID {
		return fmt.Sprintf("is %d bytes long; %d is the most", len(s), maxID)
	}
	for i, c := range s {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '_' && c != '.') {
			return "must begin with a letter or a digit and hold letters a to z, digits, '-', '_' and '.' alone"
		}
	}
	return ""
}

// clip shortens a text for a message.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}
