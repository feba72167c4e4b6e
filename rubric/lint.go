package rubric

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"cai/constitution"
)

// Finding is one thing that [Rubric.Lint] has to say. Its severities are those
// of package constitution.
type Finding struct {
	Line      int    `json:"line"` // of the criterion
	Severity  string `json:"severity"`
	Criterion string `json:"criterion"` // its id; empty for the rubric as a whole
	Rule      string `json:"rule"`
	Message   string `json:"message"`
	Hint      string `json:"hint"` // what to do; may be empty
}

// The limits that lint goes by. [LintHelp] names them.
const (
	manyCriteria  = 20
	longText      = 40 // words
	longLevel     = 40
	farWeights    = 10
	alikeGist     = 0.75
	levelsWithout = "without levels a criterion is answered by yes or no"
)

// LintHelp explains each rule of [Rubric.Lint] and how it decides.
const LintHelp = `Finds what makes criteria grade badly. The rules go by words and know English
alone; they are hints and no proof. What a file cannot be read with is an
error of the file and comes before any rule.

Errors (cai grade refuses the rubric):
  same-id           two criteria have one id.
  same-levels       two levels of a scale have the same text.
  no-weight         the weight is 0 and the criterion is no veto.

Warnings (the criterion is likely to grade badly):
  question-form     a criterion without levels is not one yes-or-no question.
  negated-question  it has a word such as not, without, worse or misleading
                    (a fixed list) though yes counts for the reply; or a
                    pitfall that has not, never, no or without: yes is then
                    hard to tell from no.
  positive-pitfall  the weight is negative and nothing in the text names a
                    fault: good replies would lose by it.
  double-question   it has and, or, but, a slash or a semicolon, apart from
                    set phrases: each part may have another answer.
  vague-question    it names nothing but good, better, appropriate, nice …
  answer-form       the text says how to answer (yes or no, a score from 1 to
                    5), which cai adds itself.
  numbered-levels   the levels begin with numbers, which cai adds itself.
  long-text         the text or a level is over 40 words.
  same-question     two criteria have the same words, or three quarters of
                    them, once endings and words like is and reply are left
                    out: one quality counts twice.
  applies-form      applies_when is not one yes-or-no question, or negated.
  many-criteria     there are over 20: each costs a call, and halo grows.
  only-pitfalls     no criterion counts for a reply.

Remarks (info):
  weights-apart     the largest weight is over 10 times the smallest.
  one-criterion     there is but one.
  no-reference      it speaks of a reference answer and reference is false.
  other-language    the text is not in English; rules on words were left out.
`

// Lint gives what is likely to hurt grading, in the order of lines. What each
// rule decides by stands in [LintHelp].
func (r *Rubric) Lint() []Finding {
	l := &linter{r: r}
	for i := range r.Criteria {
		c := &r.Criteria[i]
		l.structure(c)
		l.words(c)
		l.applies(c)
	}
	l.together()
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(a.Line-b.Line, constitution.CompareSeverity(a.Severity, b.Severity))
	})
	return l.found
}

type linter struct {
	r     *Rubric
	found []Finding
}

func (l *linter) add(c *Criterion, severity, rule, message, hint string) {
	f := Finding{Severity: severity, Rule: rule, Message: message, Hint: hint}
	if c != nil {
		f.Line, f.Criterion = c.Line, c.ID
	}
	l.found = append(l.found, f)
}

func (l *linter) warn(c *Criterion, rule, message, hint string) {
	l.add(c, constitution.SeverityWarning, rule, message, hint)
}

func (l *linter) structure(c *Criterion) {
	for i, a := range c.Levels {
		if j := slices.IndexFunc(c.Levels[:i], func(b string) bool { return strings.EqualFold(oneLine(a), oneLine(b)) }); j >= 0 {
			l.add(c, constitution.SeverityError, "same-levels", fmt.Sprintf("levels %d and %d have the same text", j+1, i+1), "say what a reply of each level has that one of the level below lacks")
			break
		}
	}
	if c.Weight == 0 && !c.Veto {
		l.add(c, constitution.SeverityError, "no-weight", "the weight is 0", "give it a weight, make it a veto, or remove it")
	}
	if n := len(strings.Fields(c.Text)); n > longText {
		l.warn(c, "long-text", fmt.Sprintf("the text is %d words long", n), "small models lose the thread: one short question; what explains it belongs into levels")
	}
	for i, level := range c.Levels {
		if n := len(strings.Fields(level)); n > longLevel {
			l.warn(c, "long-text", fmt.Sprintf("level %d is %d words long", i+1, n), "say in a sentence what a reply of this level is like")
			break
		}
	}
}

var (
	answerForm = regexp.MustCompile(`(?i)\b(answer|reply|respond|say|write)( only| with| by)* ["']?(yes|no)["']?\b|\byes or no\b|\bon a scale (of|from)\b|\b(score|rate|rating)\b[^.?!]*\b[0-9]+ (to|-|–) ?[0-9]+`)
	numbered   = regexp.MustCompile(`^\s*[(\[]?(level|score)?\s*[0-9]+\s*[\])]?\s*[:.)–-]`)
	grammar    = regexp.MustCompile(`(?i)\b(not|never|no|without|cannot|neither|nor)\b|n['’]t\b`)
	referring  = regexp.MustCompile(`(?i)\breference (answer|response|solution)\b`)
	// praise are the words of a good quality; a pitfall that has one of them and
	// no word for a fault rewards the wrong replies.
	praise = regexp.MustCompile(`(?i)\b(clear|helpful|honest|accurate|correct|polite|respectful|safe|true|truthful|complete|concise|relevant|good|better|kind|fair|useful|well|easy|friendly|careful|understandable|coherent|harmless|answers?|follows?|explains?|addresses)\b`)
)

// words lints a criterion's text.
func (l *linter) words(c *Criterion) {
	q := oneLine(c.Text)
	if m := answerForm.FindString(q); m != "" {
		l.warn(c, "answer-form", fmt.Sprintf("the text says how to answer (%q)", m), "leave that out: cai asks for the answer itself")
	}
	if len(c.Levels) > 0 && numbered.MatchString(c.Levels[0]) && numbered.MatchString(c.Levels[len(c.Levels)-1]) {
		l.warn(c, "numbered-levels", "the levels are numbered", "leave the numbers out: cai numbers them itself")
	}
	if !c.Reference && slices.ContainsFunc(append([]string{q}, c.Levels...), referring.MatchString) {
		l.add(c, constitution.SeverityInfo, "no-reference", "it speaks of a reference answer, which the model does not see", "reference = true shows it")
	}
	if !constitution.IsEnglish(q) && c.YesNo() {
		l.add(c, constitution.SeverityInfo, "other-language", "the text does not look like an English question: rules on words were left out", "")
		return
	}
	if c.YesNo() && !constitution.IsYesNo(q) {
		l.warn(c, "question-form", "the text is not one yes-or-no question", `ask "Is the reply …?" or "Does the reply …?", or describe levels: `+levelsWithout)
	}
	bad := constitution.Negated(q)
	switch {
	case c.Pitfall() && grammar.MatchString(q):
		l.warn(c, "negated-question", fmt.Sprintf("the pitfall is worded with %q", grammar.FindString(q)), "name the fault itself, so that yes means that it is there")
	case c.Pitfall() && len(bad) == 0 && praise.MatchString(q):
		l.warn(c, "positive-pitfall", fmt.Sprintf("the weight is negative, and the text asks for something good (%q)", praise.FindString(q)), "name the fault, or make the weight positive")
	case !c.Pitfall() && len(bad) > 0 && c.YesNo():
		l.warn(c, "negated-question", fmt.Sprintf("yes counts for the reply, and the text is negated or asks for the bad (%s)", strings.Join(bad, ", ")), "ask for the good quality, or make it a pitfall with a negative weight")
	}
	if m := constitution.Double(q); m != "" {
		l.warn(c, "double-question", fmt.Sprintf("the text asks for two things at once (%q)", m), "split it into two criteria")
	}
	if constitution.IsVague(q) {
		l.warn(c, "vague-question", "the text names no quality that could be looked for", "say what makes a reply good or bad: true, clear, polite, short …")
	}
}

func (l *linter) applies(c *Criterion) {
	q := oneLine(c.AppliesWhen)
	if q == "" || !constitution.IsEnglish(q) {
		return
	}
	if !constitution.IsYesNo(q) {
		l.warn(c, "applies-form", "applies_when is not one yes-or-no question", `ask "Does the user ask for …?"`)
	} else if m := grammar.FindString(q); m != "" {
		l.warn(c, "applies-form", fmt.Sprintf("applies_when is negated (%q)", m), "ask so that yes means that the criterion applies")
	}
}

// together lints the criteria beside each other.
func (l *linter) together() {
	cs := l.r.Criteria
	ids := map[string]int{}
	for i := range cs {
		c := &cs[i]
		if first, ok := ids[c.ID]; ok {
			l.add(c, constitution.SeverityError, "same-id", fmt.Sprintf("the id %q stands twice; first in line %d", c.ID, cs[first].Line), "")
		} else {
			ids[c.ID] = i
		}
		for j := range i {
			if x := alike(constitution.Gist(c.Text), constitution.Gist(cs[j].Text)); x >= alikeGist {
				l.warn(c, "same-question", fmt.Sprintf("it asks what %q asks (%.0f %% of the words are the same)", cs[j].ID, 100*x), "keep one of them, or ask for what sets them apart")
				break
			}
		}
	}
	if len(cs) > manyCriteria {
		l.warn(&cs[manyCriteria], "many-criteria", fmt.Sprintf("there are %d criteria", len(cs)), "keep those that tell replies apart: cai grade --report shows them")
	}
	if len(cs) == 1 {
		l.add(&cs[0], constitution.SeverityInfo, "one-criterion", "there is but one criterion", "several questions of one idea each tell more than one that sums up")
	}
	lo, hi := math.Inf(1), 0.0
	var heavy *Criterion
	good := false
	for i := range cs {
		w := math.Abs(cs[i].Weight)
		good = good || cs[i].Weight > 0
		if w == 0 {
			continue
		}
		lo = min(lo, w)
		if w > hi {
			hi, heavy = w, &cs[i]
		}
	}
	if !good {
		l.warn(&cs[0], "only-pitfalls", "no criterion counts for a reply: an empty one would be the best", "add what makes a reply good")
	}
	if heavy != nil && hi > farWeights*lo {
		l.add(heavy, constitution.SeverityInfo, "weights-apart", fmt.Sprintf("it weighs %g, another criterion only %g", heavy.Weight, lo), "")
	}
}

// alike is the share of words that two gists have in common.
func alike(a, b []string) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	both := 0
	for _, w := range a {
		if slices.Contains(b, w) {
			both++
		}
	}
	return float64(both) / float64(len(a)+len(b)-both)
}
