package constitution

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Import makes a constitution of another tool's principles in JSON. It reads
//
//   - llm-swarm's file: {"constitutions": [{"critic", "revision"}, …], …};
//   - the prompt files of "Constitutional AI: Harmlessness from AI Feedback"
//     (Bai et al. 2022): CritiqueRevisionInstructions.json ({"harmful0":
//     {"prompt": ["CritiqueRequest: … Critique:"], "edit_request": …}, …}), the
//     few-shot transcripts, and RLMadisonInstructions.json (a list of
//     instructions to choose a reply by);
//   - lists of objects with the usual names: critique_request and
//     revision_request, critique and revision, name, title, compare, check,
//     tags, weight; what cai constitution show --json prints is one of them.
//
// A comparison that the file has none of is derived from the words of critique
// and revision, as are ids, titles, checks and tags. The notes name, with file
// and line, what was derived, what a person should look at, and everything
// that was left out. A file without one usable principle is an error.
func Import(name string, data []byte) (c *Constitution, notes []string, err error) {
	r := &reader{file: name}
	text, ok := r.text(data)
	if !ok {
		return nil, nil, r.err()
	}
	if trimmed := strings.TrimSpace(text); trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' {
		r.add(1, "not JSON: import reads JSON, and a constitution in TOML needs no import")
		return nil, nil, r.err()
	}
	roots, jerr := readJSON(text)
	if jerr != nil {
		r.add(jerr.Line, "%s", jerr.Message)
		return nil, nil, r.err()
	}
	im := &importer{file: name}
	for _, n := range roots {
		im.root(n)
	}
	im.derive()
	switch n := len(im.out); {
	case n == 0:
		r.add(1, "there is no principle in it%s", im.why())
		return nil, im.said(), r.err()
	case n > maxPrinciples:
		r.add(1, "there are %d principles; %d is the most", n, maxPrinciples)
		return nil, im.said(), r.err()
	}
	base := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	if base = trimTo(clean(base), maxTitle); base == "" || base == "-" || base == "." {
		base = "imported"
	}
	if len(im.description) > maxText {
		im.note(1, "the description is %d bytes long, %d is the most: it was left out", len(im.description), maxText)
		im.description = ""
	}
	return &Constitution{
		Name: cmp.Or(im.name, base), Description: cmp.Or(im.description, "Imported from "+im.source()+"."),
		File: name, Principles: im.out,
	}, im.said(), nil
}

// raw is a principle as a file gave it.
type raw struct {
	line                              int
	name, title                       string
	critique, revision, compare, rule string // rule is an instruction to choose by
	check                             string
	tags                              []string
	weight                            float64
}

type importer struct {
	file        string
	name        string // that the file gives itself
	description string
	raws        []raw
	out         []Principle
	notes       []Error  // by their lines, like errors; but they are none
	kinds       []string // what the records looked like, each once
	left        int      // records left out
}

func (im *importer) note(line int, format string, args ...any) {
	im.notes = append(im.notes, Error{im.file, line, fmt.Sprintf(format, args...)})
}

// said gives the notes in the order of their lines.
func (im *importer) said() []string {
	slices.SortStableFunc(im.notes, func(a, b Error) int { return a.Line - b.Line })
	out := make([]string, len(im.notes))
	for i := range im.notes {
		out[i] = im.notes[i].Error()
	}
	return out
}

func (im *importer) leave(line int, format string, args ...any) {
	im.left++
	im.note(line, "left out: "+format, args...)
}

func (im *importer) kind(k string) {
	for _, have := range im.kinds {
		if have == k {
			return
		}
	}
	im.kinds = append(im.kinds, k)
}

func (im *importer) source() string {
	if len(im.kinds) == 0 {
		return "JSON"
	}
	return strings.Join(im.kinds, " and ")
}

func (im *importer) why() string {
	if im.left == 0 {
		return ""
	}
	return fmt.Sprintf(": %d left out, as the notes say", im.left)
}

// The names that fields go by.
var (
	critiqueNames = []string{"critique", "critic", "critique_request", "critiqueRequest", "CritiqueRequest"}
	revisionNames = []string{"revision", "edit_request", "revision_request", "revisionRequest", "RevisionRequest"}
	compareNames  = []string{"compare", "comparison"}
	listNames     = []string{"constitutions", "constitution", "principles", "principle"}
)

// root reads a whole JSON value.
func (im *importer) root(n node) {
	switch {
	case n.kind == jsonList:
		im.list(n)
	case n.kind != jsonObject:
		im.leave(n.line, "%s is no principle", n.kind)
	case n.has(critiqueNames) || n.has(revisionNames):
		im.record("", n)
	case n.has(listNames):
		for _, m := range n.members {
			switch {
			case m.key == "name" && m.value.kind == jsonString:
				im.name = trimTo(clean(m.value.text), maxTitle)
			case m.key == "description" && m.value.kind == jsonString:
				im.description = clean(m.value.text)
			case !slices.Contains(listNames, m.key):
				if len(m.value.list)+len(m.value.members) > 0 {
					im.note(m.value.line, "%q was not read: it holds no principles", clip(m.key))
				}
			case m.value.kind == jsonList:
				if m.key == "constitutions" {
					im.kind("llm-swarm's JSON")
				}
				im.list(m.value)
			default:
				im.root(m.value)
			}
		}
	default:
		for _, m := range n.members {
			im.record(m.key, m.value)
		}
	}
}

func (im *importer) list(n node) {
	for _, e := range n.list {
		if e.kind == jsonString {
			im.text(e)
		} else {
			im.record("", e)
		}
	}
}

var (
	transcript = regexp.MustCompile(`(?s)CritiqueRequest:(.*?)\n\s*Critique:.*?RevisionRequest:(.*?)\n\s*Revision:`)
	choosing   = regexp.MustCompile(`(?i)\b(choose|which|compare|select|prefer|pick)\b`)
)

// text reads a principle that is a string: a transcript with requests in it, or
// an instruction to choose by.
func (im *importer) text(n node) {
	s := strings.ReplaceAll(n.text, "\r\n", "\n")
	if found := transcript.FindAllStringSubmatch(s, -1); len(found) > 0 {
		im.kind("transcripts with critiques and revisions")
		for _, m := range found {
			im.raws = append(im.raws, raw{line: n.line, critique: m[1], revision: m[2]})
		}
		return
	}
	if !choosing.MatchString(s) || strings.Contains(s, "\n\nHuman:") {
		im.leave(n.line, "%q is no request and no rule to choose by", clip(s))
		return
	}
	im.kind("instructions to choose by")
	s = strings.TrimSpace(s)
	s = strings.TrimSpace(strings.TrimSuffix(s, "Options:"))
	im.raws = append(im.raws, raw{line: n.line, rule: s})
}

// record reads a principle that is an object.
func (im *importer) record(name string, n node) {
	if n.kind != jsonObject {
		im.leave(n.line, "%s where an object with critique and revision belongs%s", n.kind, named(name))
		return
	}
	r := raw{line: n.line, name: name}
	if id := im.field(n, []string{"id"}); id != "" {
		r.name = id
	}
	if r.title = im.field(n, []string{"title", "name"}); r.name == "" {
		r.name = r.title
	}
	critiques := im.fields(n, critiqueNames)
	if len(critiques) == 0 && n.has([]string{"edit_request"}) {
		critiques = im.fields(n, []string{"prompt"})
		im.kind("the Constitutional AI paper's prompts")
	}
	r.revision = label(im.field(n, revisionNames), "RevisionRequest:", "Revision:")
	r.compare = im.field(n, compareNames)
	r.check = im.field(n, []string{"check"})
	if tags := n.get([]string{"tags"}); tags.kind == jsonList {
		for _, t := range tags.list {
			if id := slug(t.text); id != "" && !slices.Contains(r.tags, id) {
				r.tags = append(r.tags, id)
			}
		}
	}
	if w := n.get([]string{"weight"}); w.kind == jsonNumber {
		v, err := strconv.ParseFloat(w.text, 64)
		if r.weight = v; err != nil || v < minWeight || v > maxWeight {
			im.note(w.line, "the weight %s is not between %v and %v: it became 1", clip(w.text), minWeight, maxWeight)
			r.weight = 0
		}
	}
	switch {
	case len(critiques) == 0 && r.revision == "" && n.has([]string{"corrects", "incorrects"}):
		im.leave(n.line, "an example for few-shot prompting%s, and no principle", named(name))
		return
	case len(critiques) == 0 && n.has([]string{"prompt"}) && r.revision == "":
		im.leave(n.line, "a prompt%s without a revision request", named(name))
		return
	case len(critiques) == 0:
		critiques = []string{""} // said to be missing later
	}
	for _, c := range critiques { // several are several principles
		r.critique = label(c, "CritiqueRequest:", "Critique:")
		im.raws = append(im.raws, r)
	}
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", clip(name))
}

// field gives the first text under any of the names.
func (im *importer) field(n node, names []string) string {
	fs := im.fields(n, names)
	if len(fs) == 0 {
		return ""
	}
	for _, more := range fs[1:] {
		if more != fs[0] {
			im.note(n.line, "%s has several texts: %q was left out", names[0], clip(more))
		}
	}
	return fs[0]
}

// fields gives the texts under the names, lists taken apart.
func (im *importer) fields(n node, names []string) []string {
	var out []string
	for _, m := range n.members {
		if !slices.Contains(names, m.key) {
			continue
		}
		values := []node{m.value}
		if m.value.kind == jsonList {
			values = m.value.list
		}
		for _, v := range values {
			switch {
			case v.kind != jsonString:
				im.note(v.line, "%q is %s and no text: it was left out", clip(m.key), v.kind)
			case strings.TrimSpace(v.text) != "":
				out = append(out, v.text)
			}
		}
	}
	return out
}

// label takes the marks of the paper's prompts away.
func label(s, before, after string) string {
	s = strings.TrimSpace(s)
	s = strings.TrimSpace(strings.TrimPrefix(s, before))
	return strings.TrimSpace(strings.TrimSuffix(s, after))
}

// clean makes a text of what a constitution may hold.
func clean(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "\ufffd")
	s = strings.Map(func(c rune) rune {
		switch {
		case c == '\r':
			return '\n'
		case isControl(c):
			return -1
		}
		return c
	}, s)
	return strings.TrimSpace(s)
}

// trimTo makes a text one line of at most limit bytes.
func trimTo(s string, limit int) string {
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > limit {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// slug makes an id of a text; empty if there is nothing to make it of.
func slug(s string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(s) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteRune(c)
		case c == '\'' || c == '’' || unicode.IsMark(c):
		case b.Len() > 0 && (c == '_' || c == '.'):
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 40 {
			break
		}
	}
	return strings.TrimRight(b.String(), "-_.")
}
