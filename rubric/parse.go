package rubric

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
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
	places []place
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
func (p *parser) place(i int) place {
	if i < len(p.places) {
		return p.places[i]
	}
	return place{line: max(1, p.top["criteria"])}
}

func (p *parser) toml(text string, r *Rubric) {
	p.top, p.places = scan(text)
	md, err := toml.Decode(text, r)
	if err != nil {
		line, msg := 1, strings.TrimPrefix(err.Error(), "toml: ")
		var pe toml.ParseError
		if !errors.As(err, &pe) && p.types(text) {
			return
		}
		if pe.Position.Line > 0 {
			line, msg = pe.Position.Line, cmp.Or(pe.Message, msg)
		}
		p.add(line, "not a rubric in TOML: %s", strings.Join(strings.Fields(msg), " "))
		return
	}
	for _, key := range md.Undecoded() {
		p.unknown(key)
	}
	// What the file does not say has a default that is not 0.
	var raw struct {
		Criteria []map[string]any `toml:"criteria"`
	}
	if _, err := toml.Decode(text, &raw); err != nil {
		p.add(1, "not a rubric in TOML: %v", err)
		return
	}
	for i := range r.Criteria {
		if _, ok := raw.Criteria[i]["weight"]; !ok {
			r.Criteria[i].Weight = 1
		}
		if _, ok := raw.Criteria[i]["threshold"]; !ok {
			r.Criteria[i].Threshold = 0.5
		} else if !r.Criteria[i].Veto {
			p.add(p.place(i).lineOf("threshold"), "criterion %q: a threshold without veto = true does nothing", clip(r.Criteria[i].ID))
		}
	}
}

// types notes values of the wrong type, whose line the decoder does not know; it
// tells whether there are any.
func (p *parser) types(text string) bool {
	var raw map[string]any
	if _, err := toml.Decode(text, &raw); err != nil {
		return false
	}
	is := func(v any, kind string) bool {
		switch v := v.(type) {
		case string:
			return kind == "a text"
		case int64, float64:
			return kind == "a number"
		case bool:
			return kind == "true or false"
		case []any:
			return kind == "a list of texts" && !slices.ContainsFunc(v, func(e any) bool { _, ok := e.(string); return !ok })
		}
		return false
	}
	for _, key := range []string{"name", "description"} {
		if v, ok := raw[key]; ok && !is(v, "a text") {
			p.add(p.top[key], "%s must be a text", key)
		}
	}
	list, ok := raw["criteria"].([]map[string]any)
	if raw["criteria"] != nil && !ok {
		p.add(p.top["criteria"], "criteria must be [[criteria]] tables")
	}
	for i, m := range list {
		for j, kind := range []string{"a text", "a text", "a text", "a list of texts", "a number", "true or false", "a number", "a text", "true or false"} {
			key := criterionKeys[j]
			if v, ok := m[key]; ok && !is(v, kind) {
				p.add(p.place(i).lineOf(key), "criterion %d: %s must be %s", i+1, key, kind)
			}
		}
	}
	return len(p.errs) > 0
}

var (
	topKeys       = []string{"name", "description", "criteria"}
	criterionKeys = []string{"id", "title", "text", "levels", "weight", "veto", "threshold", "applies_when", "reference"}
)

// unknown notes a key that no rubric has, in each criterion that has it.
func (p *parser) unknown(key toml.Key) {
	if key[0] != "criteria" || len(key) == 1 {
		p.add(p.top[key[0]], "unknown key %q; a rubric has %s", key[0], strings.Join(topKeys, ", "))
		return
	}
	if len(key) > 2 {
		return // within a table that is unknown itself
	}
	found := false
	for _, pl := range p.places {
		if l := pl.keys[key[1]]; l > 0 {
			found = true
			if !slices.ContainsFunc(p.errs, func(e *Error) bool { return e.Line == l }) {
				p.add(l, "unknown key %q; a criterion has %s", key[1], strings.Join(criterionKeys, ", "))
			}
		}
	}
	if !found {
		p.add(p.top["criteria"], "unknown key %q; a criterion has %s", key[1], strings.Join(criterionKeys, ", "))
	}
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
	c.Line = pl.line
	who := fmt.Sprintf("criterion %d", i+1)
	if strings.TrimSpace(c.ID) != "" {
		who = fmt.Sprintf("criterion %q", clip(c.ID))
	}
	p.text(pl.lineOf("id"), who+": id", &c.ID, true)
	p.text(pl.lineOf("title"), who+": title", &c.Title, false)
	p.text(pl.lineOf("text"), who+": text", &c.Text, true)
	p.text(pl.lineOf("applies_when"), who+": applies_when", &c.AppliesWhen, false)
	if bad := badID(c.ID); c.ID != "" && bad != "" {
		p.add(pl.lineOf("id"), "%s: the id %s", who, bad)
	}
	if n := len(c.Levels); n == 1 || n > MaxLevels {
		p.add(pl.lineOf("levels"), "%s: a scale has %d to %d levels, not %d; leave levels out for a yes-or-no question", who, minLevels, MaxLevels, n)
	}
	for j := range c.Levels {
		p.text(pl.lineOf("levels"), fmt.Sprintf("%s: level %d", who, j+1), &c.Levels[j], true)
	}
	if w := c.Weight; math.IsNaN(w) || math.Abs(w) > maxWeight {
		p.add(pl.lineOf("weight"), "%s: the weight %v is not a number from %d to %d", who, w, -maxWeight, maxWeight)
	}
	if t := c.Threshold; !(t >= 0 && t <= 1) {
		p.add(pl.lineOf("threshold"), "%s: the threshold %v is not from 0 to 1", who, t)
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
