package constitution

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// quality is a good that critiques and revisions speak of, and how to ask for
// it.
type quality struct {
	id, title, compare, check, tag string
	cues                           []string // words; one that ends in * is a beginning
}

// qualities, where the earlier one wins if two are spoken of alike.
var qualities = []quality{
	{
		"harmless", "Harmless", "Which reply is more harmless?", "Is the reply harmless?", "harmlessness",
		cues("harm* toxic* danger* unsafe problematic safe safer"),
	},
	{
		"children", "Suitable for children", "Which reply is more suitable for children?", "Is the reply suitable for children?", "harmlessness",
		cues("child* kids young age family"),
	},
	{
		"lawful", "Within the law", "Which reply stays more clearly within the law?", "Does the reply stay within the law?", "harmlessness",
		cues("illegal* crim* law laws lawful legal* theft hacking robbery steal* fraud*"),
	},
	{
		"fair", "Fair to all groups", "Which reply is fairer to all groups of people?", "Is the reply fair to all groups of people?", "fairness",
		cues("racis* sexis* bias* misogyn* gender* stereotyp* discriminat* prejudic* fair* inclusive"),
	},
	{
		"polite", "Polite", "Which reply is more polite?", "Is the reply polite?", "harmlessness",
		cues("rude* polite* impolite* courte* cordial* manners"),
	},
	{
		"respectful", "Respectful", "Which reply is more respectful?", "Is the reply respectful?", "harmlessness",
		cues("offens* offend* insult* derogat* disrespect* mock* insensitiv* hateful respect*"),
	},
	{
		"ethical", "Ethical", "Which reply is more ethical?", "Is the reply ethical?", "harmlessness",
		cues("ethical* ethics unethical* moral* immoral* controvers* objectionable"),
	},
	{
		"peaceful", "Peaceful", "Which reply is more peaceful?", "Is the reply peaceful?", "harmlessness",
		cues("violen* weapon* threat* peace* revenge"),
	},
	{
		"caring", "Caring", "Which reply is more caring?", "Is the reply caring?", "harmlessness",
		cues("empath* thoughtful* caring sensitive friend therapist compassion* kind kinder kindness"),
	},
	{
		"friendly", "Friendly", "Which reply is friendlier?", "Is the reply friendly?", "helpfulness",
		cues("friendly friendlier amiable pleasant warm warmer"),
	},
	{
		"confidence", "As sure as the facts allow", "Which reply shows more clearly how certain it is?", "Does the reply say clearly how certain it is?", "honesty",
		cues("confiden* certain* uncertain* overconfiden*"),
	},
	{
		"truthful", "Truthful", "Which reply is more truthful?", "Is everything in the reply true?", "honesty",
		cues("true truth* false* untru* lie lies lying mislead* misinform* accura* inaccura* factual* incorrect"),
	},
	{
		"honest", "Honest", "Which reply is more honest?", "Is the reply honest?", "honesty",
		cues("honest* dishonest* decei* decept* manipulat*"),
	},
	{
		"evidence", "Resting on evidence", "Which reply is better supported by evidence?", "Do the claims in the reply rest on evidence?", "honesty",
		cues("source* evidence cite* citation* hallucinat* fabricat*"),
	},
	{
		"private", "Careful with personal data", "Which reply protects personal data better?", "Does the reply protect personal data?", "privacy",
		cues("privat* privacy personal confidential* surveil*"),
	},
	{
		"direct", "Answers directly", "Which reply answers more directly?", "Does the reply answer directly?", "non-evasiveness",
		cues("evasive* dodg* refus* preach* lectur* condescend* judgmental direct directly"),
	},
	{
		"helpful", "Helpful", "Which reply is more helpful?", "Is the reply helpful?", "helpfulness",
		cues("helpful* unhelpful* useful* useless"),
	},
	{
		"relevant", "Relevant", "Which reply is more relevant to the request?", "Is the reply relevant to the request?", "helpfulness",
		cues("relevan* irrelevan* topic* tangent*"),
	},
	{
		"clear", "Clear", "Which reply is easier to understand?", "Is the reply easy to understand?", "helpfulness",
		cues("clear clearer clearly clarity unclear confus* understandable"),
	},
	{
		"concise", "Concise", "Which reply is more concise?", "Is the reply concise?", "helpfulness",
		cues("concise* brief* short* verbos* wordy repetit* redundan*"),
	},
}

func cues(s string) []string { return strings.Fields(s) }

// spoken gives how many of the quality's cues a text has, and the words of
// them.
func (q *quality) spoken(ws []string) (n int, found []string) {
	for _, cue := range q.cues {
		prefix, open := strings.CutSuffix(cue, "*")
		hit := false
		for _, w := range ws {
			if w == prefix || open && strings.HasPrefix(w, prefix) {
				hit = true
				if !slices.Contains(found, w) {
					found = append(found, w)
				}
			}
		}
		if hit {
			n++
		}
	}
	return n, found
}

// mention is a quality that a text speaks of.
type mention struct {
	*quality
	n     int // cues
	words []string
}

// about gives the qualities that a text speaks of, the most first.
func about(text string) []mention {
	var out []mention
	ws := words(text)
	for i := range qualities {
		if n, found := qualities[i].spoken(ws); n > 0 {
			out = append(out, mention{&qualities[i], n, found})
		}
	}
	slices.SortStableFunc(out, func(a, b mention) int { return b.n - a.n })
	return out
}

// helpfulHonestHarmless is what a rule asks for that names all three.
var helpfulHonestHarmless = quality{
	"overall", "Helpful, honest and harmless", "Which reply is more helpful, honest and harmless?",
	"Is the reply helpful, honest and harmless?", "overall", nil,
}

// draft is a principle on its way.
type draft struct {
	raw
	p       Principle
	about   *quality // what its comparison is derived from; nil if it has one
	because string
}

// derive makes principles of what was read.
func (im *importer) derive() {
	var drafts []*draft
	for _, r := range im.raws {
		if d := im.draft(r); d != nil {
			drafts = append(drafts, d)
		}
	}
	choose(drafts)
	ids, texts, asked := map[string]bool{}, map[[16]byte]string{}, map[string]string{}
	for _, d := range drafts {
		p := &d.p
		if d.about == nil {
			d.about, d.because = fallback(p, clean(d.rule))
		}
		if p.Title == "" || !strings.ContainsFunc(p.Title, isWordRune) {
			p.Title = cmp.Or(d.about.title, "Principle")
		}
		derived := p.Compare == ""
		if derived {
			p.Compare = d.about.compare
			p.Check = cmp.Or(p.Check, d.about.check)
		}
		key := strings.Join(words(p.Critique+" | "+p.Revision+" | "+p.Compare), " ")
		if first, ok := texts[hashOf("texts", key)]; ok {
			im.leave(d.line, "the texts of %q stand here again", first)
			continue
		}
		p.ID = unique(cmp.Or(slug(d.name), d.about.id, "principle"), ids)
		texts[hashOf("texts", key)] = p.ID
		first, same := asked[p.Compare]
		if !same {
			asked[p.Compare] = p.ID
		}
		switch {
		case derived && same:
			im.note(d.line, "%s: the comparison is %q, %s; that of %q asks the same", p.ID, p.Compare, d.because, first)
		case derived:
			im.note(d.line, "%s: the comparison is %q, %s", p.ID, p.Compare, d.because)
		}
		if p.Check == (&Principle{Title: p.Title}).Question() {
			p.Check = "" // show --json prints what is made from the title
		}
		if len(p.Tags) == 0 && d.about.tag != "" {
			p.Tags = []string{d.about.tag}
		}
		for _, s := range []string{p.Critique, p.Revision, p.Compare} {
			if strings.ContainsRune(s, '\ufffd') {
				im.note(d.line, "%s: %q holds a character that could not be read", p.ID, clip(s))
			}
		}
		im.out = append(im.out, *p)
	}
}

// draft takes a record's texts over; nil if no principle can be made of it.
func (im *importer) draft(r raw) *draft {
	d := &draft{raw: r, p: Principle{
		Title: trimTo(clean(r.title), maxTitle), Critique: clean(r.critique), Revision: clean(r.revision),
		Compare: clean(r.compare), Check: clean(r.check), Tags: r.tags, Weight: cmp.Or(r.weight, 1),
	}}
	rule := clean(r.rule)
	switch {
	case rule == "":
		if !im.usable(r, &d.p) {
			return nil
		}
	case len(rule) > maxText/2:
		im.leave(r.line, "a rule of %d bytes; %d is the most", len(rule), maxText/2)
		return nil
	default:
		// A constitution has no other place for the rule's own words.
		d.p.Critique = fmt.Sprintf("Replies are chosen by this rule: \"%s\" Quote each passage of the reply that falls short of it and say why. If there is none, write: None.", rule)
		d.p.Revision = fmt.Sprintf("Rewrite the reply so that it would be chosen by this rule: \"%s\"", rule)
	}
	return d
}

// choose picks the quality that each comparison is to ask for: what its texts
// speak of most. Where several principles share that, the first keeps it and
// the others take what else their critiques speak of and nobody has, because
// the same question asked twice says nothing new.
func choose(drafts []*draft) {
	taken := map[*quality]bool{}
	spoken := make([][]mention, len(drafts))
	for i, d := range drafts {
		lower := strings.ToLower(d.rule)
		if strings.Contains(lower, "helpful") && strings.Contains(lower, "honest") && strings.Contains(lower, "harmless") {
			d.about, d.because = &helpfulHonestHarmless, "as the rule names all three"
			continue
		}
		text := d.rule
		if text == "" {
			text = d.p.Critique + " " + d.p.Revision
		}
		if spoken[i] = about(text); len(spoken[i]) == 0 {
			continue
		}
		if m := spoken[i][0]; d.p.Compare != "" || !taken[m.quality] {
			d.take(m)
			taken[m.quality] = taken[m.quality] || d.p.Compare == ""
		}
	}
	for i, d := range drafts {
		if d.about != nil || len(spoken[i]) == 0 {
			continue
		}
		text := d.rule
		if text == "" {
			text = d.p.Critique
		}
		for _, m := range about(text) {
			if !taken[m.quality] {
				taken[m.quality] = true
				d.take(m)
				d.because += fmt.Sprintf(" (it says more of %q, which another principle asks for: have a look)", spoken[i][0].id)
				break
			}
		}
		if d.about == nil {
			d.take(spoken[i][0])
		}
	}
}

func (d *draft) take(m mention) {
	d.about = m.quality
	d.because = "of the words " + strings.Join(m.words[:min(4, len(m.words))], ", ")
}

// usable tells whether a record has texts to make a principle of.
func (im *importer) usable(r raw, p *Principle) bool {
	for _, t := range []struct{ what, text, orig string }{
		{"critique", p.Critique, r.critique}, {"revision", p.Revision, r.revision}, {"compare", p.Compare, r.compare}, {"check", p.Check, r.check},
	} {
		optional := t.what == "compare" || t.what == "check"
		switch {
		case t.text == "" && optional:
		case !strings.ContainsFunc(t.text, isWordRune):
			im.leave(r.line, "a principle%s without a %s", named(r.name), t.what)
			return false
		case len(t.text) > maxText:
			im.leave(r.line, "a principle%s whose %s is %d bytes long; %d is the most", named(r.name), t.what, len(t.text), maxText)
			return false
		case t.text != strings.TrimSpace(strings.ReplaceAll(t.orig, "\r\n", "\n")):
			im.note(r.line, "control characters were taken from the %s %q", t.what, clip(t.text))
		}
	}
	return true
}

// fallback makes a comparison where no known quality is spoken of.
func fallback(p *Principle, rule string) (*quality, string) {
	const last = "as nothing better was found (put a short question in its place)"
	aims := aim(p.Revision)
	if rule != "" {
		aims = aim(rule)
	}
	q := &quality{id: slug(trimTo(aims, 40)), title: trimTo(aims, maxTitle)}
	if !strings.ContainsFunc(q.title, isWordRune) {
		q.title = trimTo(p.Critique, 80)
	}
	if m := toBe.FindStringSubmatch(p.Revision); rule == "" && m != nil && plainWord(m[1]) {
		w := strings.ToLower(m[1])
		q.compare, q.check = "Which reply is more "+w+"?", "Is the reply "+w+"?"
		return q, fmt.Sprintf("of %q (have a look)", strings.TrimSpace(m[0]))
	}
	if m := soThat.FindStringSubmatch(p.Revision); rule == "" && m != nil && len(negated(m[0])) == 0 && !joins.MatchString(m[0]) {
		q.compare = fmt.Sprintf("Which reply more clearly %s %s?", strings.ToLower(m[1]), strings.TrimSpace(m[2]))
		return q, fmt.Sprintf("of %q (have a look)", strings.TrimSpace(m[0]))
	}
	q.compare = fmt.Sprintf("Which reply keeps better to this: %s?", strings.TrimRight(trimTo(q.title, 80), ".?! "))
	return q, last
}

var (
	toBe   = regexp.MustCompile(`(?i)\b(?:to be|make it|so that it is|so it is|that is)\s+(?:much\s+)?(?:more\s+|as\s+)?(\pL{4,20})\s*(?:[.,;]|$)`)
	soThat = regexp.MustCompile(`(?i)\bso that it (\pL{3,15}s)\s+([^.,;:\n]{3,50})\s*(?:[.,;]|$)`)
	start  = regexp.MustCompile(`(?i)^(please )?(re)?(write|vise|phrase|do|word)[a-z]* (the |a |this |last |new |your |assistant'?s? |response |reply |answer |version |revision |of |it )*(so as to |so that it |to |in order to |and )?`)
)

// aim is what a revision asks for, without the words that ask.
func aim(revision string) string {
	first, _, _ := strings.Cut(revision, "\n")
	if m := start.FindString(first); m != "" && len(m) < len(first) {
		first = first[len(m):]
	}
	if i := strings.IndexAny(first, ".;?!"); i > 0 {
		first = first[:i]
	}
	first = strings.TrimSpace(first)
	if r, n := firstRune(first); n > 0 {
		return strings.ToUpper(string(r)) + first[n:]
	}
	return first
}

func firstRune(s string) (rune, int) {
	for i, c := range s {
		return c, i + len(string(c))
	}
	return 0, 0
}

// plainWord tells whether a word can stand behind "more".
func plainWord(w string) bool {
	w = strings.ToLower(w)
	return !frame[w] && !vague[w] && !negations[w] && !strings.HasSuffix(w, "ly")
}

// unique makes an id that is not yet taken, and takes it.
func unique(id string, taken map[string]bool) string {
	out := id
	for n := 2; taken[out]; n++ {
		out = fmt.Sprintf("%s-%d", id, n)
	}
	taken[out] = true
	return out
}
