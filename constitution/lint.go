package constitution

import (
	"cmp"
	"slices"
)

// The severities of a [Finding].
const (
	SeverityError   = "error"   // the principle cannot do its work
	SeverityWarning = "warning" // the principle is likely to judge badly
	SeverityInfo    = "info"    // worth knowing
)

// Finding is one thing that [Constitution.Lint] has to say.
type Finding struct {
	Line      int    `json:"line"` // of the principle; 0 where unknown
	Severity  string `json:"severity"`
	Principle string `json:"principle"` // its id
	Rule      string `json:"rule"`
	Message   string `json:"message"`
	Hint      string `json:"hint"` // what to do; may be empty
}

// The limits that lint goes by. [LintHelp] names them.
const (
	longQuestionWords  = 16
	longQuestionTokens = 40
	longTextWords      = 120
	alikeTexts         = 0.85
	farWeights         = 10
	smallConstitution  = 3
)

// LintHelp explains each rule of [Constitution.Lint] and how it decides.
const LintHelp = `Finds what makes principles judge badly. A comparison is the last thing that
the judge reads; small models follow it only if it is short, positive and
about one thing. The rules go by words and know English alone; they are
hints and no proof. What a file cannot be read with is an error of the file
and comes before any rule.

Errors (the principle cannot do its work):
  question-form     the comparison is a yes-or-no question (its first word
                    is is, does, can …), has more than one question mark, or
                    names A and B, which cai adds itself.
  same-texts        critique and revision are the same text.

Warnings (the principle is likely to judge badly):
  question-start    the comparison does not begin with "Which reply" (or
                    response, answer) or does not end in a question mark.
  no-comparative    it has no "more", "better", "-er", "most" … in it, so
                    that both replies can be the answer.
  long-question     it is over 16 words, or over an estimated 40 tokens.
  negated-question  it has a word such as not, less, avoid, without, worse,
                    harmful, misleading or unfair (a fixed list). Negated
                    questions left measured models at chance.
  double-question   it has and, or, but, a slash or a semicolon, apart from
                    set phrases such as "pros and cons". Exempt: the tag
                    overall.
  vague-question    beside words like which, reply, is and more it has
                    nothing but good, better, appropriate, nice, proper …
  vague-text        the same of a critique or a revision.
  asks-nothing      no clause of the critique is a question or begins with a
                    verb that asks (say, quote, list …); none of the
                    revision begins with one that changes (rewrite, take,
                    add …).
  long-text         a critique or a revision is over 120 words.
  check-form        the check is no yes-or-no question, or a negated one:
                    yes must be good.
  same-question     two comparisons have the same words once endings and
                    words like which, reply, is and more are left out: one
                    vote counts twice.
  near-duplicate    critique and revision of two principles are alike: the
                    cosine of their letter trigrams is 0.85 or more.
  weights-apart     the largest weight is over 10 times the smallest.

Remarks (info):
  pull-apart        themes, or words of titles and comparisons, that often
                    want opposite replies (caution and directness, short and
                    detailed, kind and frank …). Both may be meant.
  invites-faults    the critique does not say what to write if there is no
                    fault; models then find one.
  no-check          there is no check; its question is made from the title.
  no-tags           there are no tags to choose or weigh it by.
  lone-theme        a tag, other than overall, that only one principle has.
  small             fewer than 3 principles: one odd question decides much.
  other-language    the comparison is not in English; rules on words were
                    left out.
`

// Lint gives what is likely to hurt judging, in the order of lines. What each
// rule decides by stands in [LintHelp]. The built-in constitution has neither
// errors nor warnings.
func (c *Constitution) Lint() []Finding {
	l := &linter{c: c}
	for i := range c.Principles {
		p := &c.Principles[i]
		l.question(p)
		l.texts(p)
		l.check(p)
		if len(p.Tags) == 0 {
			l.add(p, SeverityInfo, "no-tags", "there are no tags", `tags = ["honesty"] lets --principle tag:honesty choose it`)
		}
	}
	l.duplicates()
	l.weights()
	l.themes()
	l.pullApart()
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(a.Line-b.Line, CompareSeverity(a.Severity, b.Severity))
	})
	return l.found
}

// CompareSeverity puts errors before warnings and these before hints.
func CompareSeverity(a, b string) int {
	rank := []string{SeverityError, SeverityWarning, SeverityInfo}
	return slices.Index(rank, a) - slices.Index(rank, b)
}

type linter struct {
	c     *Constitution
	found []Finding
}

func (l *linter) add(p *Principle, severity, rule, message, hint string) {
	l.found = append(l.found, Finding{p.Line, severity, p.ID, rule, message, hint})
}
