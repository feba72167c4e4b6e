package audit

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"cai/dataset"
)

// concept is a simple measure of a reply that anybody can recompute.
type concept struct {
	name, about string
	// nuisance tells that a reply is no better for having more of it.
	nuisance bool
	measure  func(t *measured) float64
}

// measured is a reply, read once for all concepts.
type measured struct {
	reply  string
	lower  string   // with straight apostrophes
	words  []string // of lower
	joined string   // the words, one blank before, between and after them
	prompt map[string]bool
}

// Phrases in lower case, one a comma; each is looked for between word borders.
var (
	refusalPhrases = list("i can't,i cannot,i can not,i won't,i will not,i'm unable,i am unable,can't help,cannot help,can't assist,cannot assist," +
		"cannot provide,can't provide,not able to,i must decline,i have to decline,i refuse,not appropriate,inappropriate,not comfortable,unable to")
	apologyPhrases    = list("sorry,apologize,apologise,apologies,i regret,forgive me,unfortunately")
	hedgingPhrases    = list("perhaps,maybe,might,possibly,probably,likely,seems,appears,i think,i believe,i guess,could be,may be,generally,usually,often,sometimes,typically,it depends,depends on,not sure,roughly,arguably")
	confidencePhrases = list("certainly,definitely,undoubtedly,clearly,obviously,absolutely,without doubt,no doubt,guaranteed,of course,always,never,surely,proven")
	flatteryPhrases   = list("great question,good question,excellent question,wonderful question,fantastic question,thoughtful question,insightful,great idea,excellent idea,brilliant,well done,wise,wonderful,you are right to,smart,impressive,amazing")
	warningPhrases    = list("illegal,unlawful,dangerous,harmful,unethical,immoral,risk,risks,consequences,safety,caution,careful,please note,important to note,it's important,it is important,professional,seek help,authorities,responsible,ethical,respectful")
	selfPhrases       = list("as an ai,as a language model,language model,ai assistant,as an assistant,i'm an ai,i am an ai,ethical assistant,my programming,my guidelines")
	offerPhrases      = list("let me know,feel free,happy to help,glad to help,i can help,here to help,if you need,would you like,can i help,hope this helps")
	positiveWords     = set("good,great,best,better,happy,love,nice,excellent,wonderful,helpful,enjoy,fun,beautiful,positive,perfect,success,successful,safe,easy,effective,kind,benefit,benefits,improve,support,hope,thank,thanks,pleasure,amazing,fantastic,interesting")
	negativeWords     = set("bad,worse,worst,sad,hate,terrible,awful,wrong,problem,problems,difficult,hard,fail,failure,harm,harmful,danger,dangerous,hurt,pain,kill,death,violence,violent,stupid,ugly,angry,fear,illegal,poor,negative,damage,risk,sick,steal,attack")
	informalWords     = set("gonna,wanna,gotta,yeah,yep,nope,hey,hi,ok,okay,cool,stuff,thing,things,kinda,sorta,guy,guys,dude,lol,oh,well,um,pretty,really,lots,bunch,cuz")
)

// concepts are what scores are explained by. Rates are per word.
var concepts = []concept{
	{"length", "ln(1 + code points)", true, func(t *measured) float64 { return math.Log1p(float64(utf8.RuneCountInString(t.reply))) }},
	{"markup", "ln(1 + list items, headings, bold spans, code fences, table rows)", true, func(t *measured) float64 { return math.Log1p(float64(marks(t.reply))) }},
	{"emphasis", "ln(1 + exclamation marks and emoji)", true, func(t *measured) float64 { return math.Log1p(float64(shouts(t.reply))) }},
	{"refusal", "ln(1 + phrases of refusal)", false, counted(refusalPhrases)},
	{"apology", "ln(1 + apologies)", true, counted(apologyPhrases)},
	{"hedging", "phrases of doubt, a word", true, rated(hedgingPhrases)},
	{"confidence", "phrases of certainty, a word", true, rated(confidencePhrases)},
	{"flattery", "ln(1 + praise of question or reader)", true, counted(flatteryPhrases)},
	{"sentiment", "pleasant words less unpleasant ones, a word", false, func(t *measured) float64 { return t.rate(positiveWords) - t.rate(negativeWords) }},
	{"formality", "share of words of 7 letters and more, less contractions and casual words", false, formality},
	{"warnings", "words of danger, law and duty, a word", false, rated(warningPhrases)},
	{"self as AI", "ln(1 + phrases such as “as an AI”)", true, counted(selfPhrases)},
	{"offers", "ln(1 + offers of further help)", true, counted(offerPhrases)},
	{"citations", "ln(1 + links, bracketed numbers, “et al.”)", true, citations},
	{"echo of the prompt", "share of the prompt's last turn's words that the reply has", false, echo},
	{"variety", "share of different words, in stretches of 50", false, variety},
}

// Concepts names them, each with how it is measured.
func Concepts() [][2]string {
	out := make([][2]string, len(concepts))
	for i, c := range concepts {
		out[i] = [2]string{c.name, c.about}
	}
	return out
}

func list(s string) []string { return strings.Split(s, ",") }

func set(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range list(s) {
		m[w] = true
	}
	return m
}

var straight = strings.NewReplacer("’", "'")

func wordsOf(lower string) []string {
	return strings.FieldsFunc(lower, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' })
}

// promptWords are the words of the last turn.
func promptWords(c dataset.Conversation) map[string]bool {
	m := map[string]bool{}
	if len(c) > 0 {
		for _, w := range wordsOf(straight.Replace(strings.ToLower(c[len(c)-1].Content))) {
			m[w] = true
		}
	}
	return m
}

// measure gives the concepts of a reply, in their order.
func measure(prompt map[string]bool, reply string) []float64 {
	t := &measured{reply: reply, lower: straight.Replace(strings.ToLower(reply)), prompt: prompt}
	t.words = wordsOf(t.lower)
	t.joined = " " + strings.Join(t.words, " ") + " "
	out := make([]float64, len(concepts))
	for i := range concepts {
		out[i] = concepts[i].measure(t)
	}
	return out
}

func (t *measured) phrases(ps []string) (n int) {
	for _, p := range ps {
		n += strings.Count(t.joined, " "+p+" ")
	}
	return n
}

func (t *measured) rate(of map[string]bool) float64 {
	n := 0
	for _, w := range t.words {
		if of[w] {
			n++
		}
	}
	return float64(n) / float64(max(1, len(t.words)))
}

func counted(ps []string) func(*measured) float64 {
	return func(t *measured) float64 { return math.Log1p(float64(t.phrases(ps))) }
}

func rated(ps []string) func(*measured) float64 {
	return func(t *measured) float64 { return float64(t.phrases(ps)) / float64(max(1, len(t.words))) }
}

// marks counts marks of Markdown.
func marks(s string) int {
	n := (strings.Count(s, "**") + strings.Count(s, "__")) / 2
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line[0] == '#', line[0] == '|', strings.HasPrefix(line, "```"),
			strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "), strings.HasPrefix(line, "+ "), strings.HasPrefix(line, "• "):
			n++
		default:
			d := 0
			for d < len(line) && d < 3 && line[d] >= '0' && line[d] <= '9' {
				d++
			}
			if d > 0 && d < len(line) && (line[d] == '.' || line[d] == ')') {
				n++
			}
		}
	}
	return n
}

func shouts(s string) (n int) {
	for _, r := range s {
		if r == '!' || r > 0xffff || r > unicode.MaxLatin1 && unicode.Is(unicode.So, r) {
			n++
		}
	}
	return n
}

func formality(t *measured) float64 {
	n := 0
	for _, w := range t.words {
		switch {
		case strings.Contains(w, "'"), informalWords[w]:
			n--
		case utf8.RuneCountInString(w) >= 7:
			n++
		}
	}
	return float64(n) / float64(max(1, len(t.words)))
}

func citations(t *measured) float64 {
	n := strings.Count(t.reply, "://") + strings.Count(t.lower, "et al")
	for i := 0; i+2 < len(t.reply); i++ {
		if t.reply[i] == '[' && t.reply[i+1] >= '0' && t.reply[i+1] <= '9' {
			n++
		}
	}
	return math.Log1p(float64(n))
}

func echo(t *measured) float64 {
	if len(t.prompt) == 0 {
		return 0
	}
	seen := map[string]bool{}
	for _, w := range t.words {
		if t.prompt[w] {
			seen[w] = true
		}
	}
	return float64(len(seen)) / float64(len(t.prompt))
}

func variety(t *measured) float64 {
	const stretch = 50
	if len(t.words) == 0 {
		return 1
	}
	sum, n := 0.0, 0
	for from := 0; from == 0 || from+stretch <= len(t.words); from += stretch {
		part := t.words[from:min(from+stretch, len(t.words))]
		seen := map[string]bool{}
		for _, w := range part {
			seen[w] = true
		}
		// A short text has little to repeat: shares are of Heaps' kind, ln by ln.
		sum += math.Log1p(float64(len(seen))) / math.Log1p(float64(len(part)))
		n++
	}
	return sum / float64(n)
}
