package rubric

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"cai/toml"
)

// prometheus reads rubrics as prometheus-eval has them: criteria, a question,
// and score1_description … score5_description, the scale. They are written to
// be used beside a reference answer.
func (p *parser) prometheus(text string, r *Rubric) {
	var list []map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	var err error
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		var one map[string]any
		err = dec.Decode(&one)
		list = append(list, one)
	} else {
		err = dec.Decode(&list)
	}
	if err == nil && dec.More() {
		err = fmt.Errorf("something follows the first value; several rubrics are a JSON list")
	}
	if err != nil {
		at := dec.InputOffset()
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = syntax.Offset
		} else if errors.Is(err, io.ErrUnexpectedEOF) {
			at = int64(len(strings.TrimSpace(text)))
		}
		line := 1 + strings.Count(text[:min(int(at), len(text))], "\n")
		p.add(line, "not a rubric in JSON: %v", err)
		return
	}
	// JSON has no lines of its own: a rubric is known by its number.
	used := map[string]bool{}
	for i, m := range list {
		line := lineOfNth(text, `"criteria"`, i)
		p.places = append(p.places, toml.Place{Line: line})
		c, bad := fromPrometheus(m)
		if bad != "" {
			p.add(line, "rubric %d: %s", i+1, bad)
			continue
		}
		c.ID = slug(c.Text, used)
		r.Criteria = append(r.Criteria, c)
	}
	if len(list) == 1 && len(r.Criteria) == 1 {
		r.Name = r.Criteria[0].ID
	}
}

func fromPrometheus(m map[string]any) (Criterion, string) {
	c := Criterion{Weight: 1, Threshold: 0.5, Reference: true}
	text, ok := m["criteria"].(string)
	if !ok || strings.TrimSpace(text) == "" {
		return c, `no "criteria"; a rubric of prometheus has criteria and score1_description to score5_description`
	}
	c.Text = text
	for n := 1; ; n++ {
		key := fmt.Sprintf("score%d_description", n)
		v, ok := m[key]
		if !ok {
			break
		}
		s, ok := v.(string)
		if !ok {
			return c, key + " is not a text"
		}
		c.Levels = append(c.Levels, s)
	}
	if len(c.Levels) < minLevels {
		return c, "no scale: score1_description and score2_description are the least"
	}
	for key := range m {
		if strings.HasPrefix(key, "score") && strings.HasSuffix(key, "_description") {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(key, "score"), "_description"))
			if err == nil && (n < 1 || n > len(c.Levels)) {
				return c, fmt.Sprintf("%s follows a gap in the scale", key)
			}
		}
	}
	return c, ""
}

// lineOfNth gives the line of the n-th place, from 0, where s stands in a text.
func lineOfNth(text, s string, n int) int {
	at := 0
	for ; n >= 0; n-- {
		i := strings.Index(text[at:], s)
		if i < 0 {
			return 1
		}
		at += i + len(s)
	}
	return 1 + strings.Count(text[:at], "\n")
}

// plain are the words that make no name.
var plain = strings.Fields("a an the is are does do did has have can could will would should how what which to of in on for and or with it its this that reply response answer model model's user user's")

// slug makes an id of the first words that say what a text is about, another
// one than those used before.
func slug(text string, used map[string]bool) string {
	var words []string
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '\'' }) {
		w = strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				return c
			}
			return -1
		}, w)
		if w != "" && !slices.Contains(plain, w) {
			words = append(words, w)
		}
		if len(words) == 3 {
			break
		}
	}
	id := strings.Join(words, "-")
	if id == "" {
		id = "criterion"
	}
	id = id[:min(len(id), 40)]
	for n, base := 2, id; used[id]; n++ {
		id = fmt.Sprintf("%s-%d", base, n)
	}
	used[id] = true
	return id
}
