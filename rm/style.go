package rm

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// styleNames names the style features in their order. Names and order are part
// of the file format.
var styleNames = []string{
	"log_code_points",       // ln(1 + code points)
	"log_words",             // ln(1 + words)
	"log_sentences",         // ln(1 + sentences)
	"word_length",           // letters and digits a word
	"sentence_length",       // ln(1 + words a sentence)
	"log_paragraphs",        // ln(1 + blank-line separated blocks)
	"log_list_items",        // ln(1 + lines that start with a bullet)
	"log_numbered_items",    // ln(1 + lines that start with a number and a dot or bracket)
	"log_headings",          // ln(1 + lines that start with #)
	"log_code_blocks",       // ln(1 + fence lines)
	"log_bold",              // ln(1 + pairs of ** or __)
	"log_table_rows",        // ln(1 + lines that start with |)
	"log_questions",         // ln(1 + question marks)
	"log_exclamations",      // ln(1 + exclamation marks)
	"log_quotes",            // ln(1 + double quotation marks)
	"log_links",             // ln(1 + occurrences of ://)
	"digits",                // share of code points
	"upper",                 // upper-case letters, share of letters
	"punctuation",           // share of code points
	"non_ascii",             // share of code points
	"emoji",                 // ln(1 + symbols outside the text planes)
	"type_token",            // ln(1 + different words) / ln(1 + words)
	"repeated_bigrams",      // share of word pairs seen before in the reply
	"repeated_lines",        // share of non-blank lines seen before
	"first_person",          // share of words
	"second_person",         // share of words
	"log_hedges",            // ln(1 + hedging words and phrases)
	"log_refusals",          // ln(1 + refusal phrases)
	"opens_refusing",        // 1 if a refusal phrase begins among the first 12 words
	"log_apologies",         // ln(1 + apologies)
	"log_warnings",          // ln(1 + words of warning, law and danger)
	"log_self_as_ai",        // ln(1 + phrases such as "as an AI")
	"log_connectives",       // ln(1 + words of reasoning: because, therefore, …)
	"opens_agreeing",        // 1 if it opens with sure, certainly, of course, …
	"log_offers",            // ln(1 + offers of further help)
	"ends_asking",           // 1 if it ends with a question mark
	"ends_open",             // 1 if it ends neither in punctuation nor in a fence, as cut text does
	"prompt_words_in_reply", // share of the last turn's different words that the reply has
	"reply_words_in_prompt", // share of the reply's different words that the last turn has
	"copies_prompt",         // share of the reply's word pairs that stand in the last turn
	"log_length_to_prompt",  // ln((1 + reply words) / (1 + words of the last turn))
}

const (
	catHedge = iota
	catRefusal
	catApology
	catWarning
	catSelf
	catConnective
	catOffer
	catAgree
	catFirst
	catSecond
	numCats
)

// phraseLists are the words and phrases counted for each category, in lower
// case, one a comma.
var phraseLists = [numCats]string{
	catHedge: "perhaps,maybe,might,possibly,probably,likely,it seems,seems,appears,i think,i believe,i guess,could be,may be," +
		"generally,usually,often,sometimes,typically,it depends,depends on,not sure,i'm not sure,in some cases,to some extent,roughly,arguably",
	catRefusal: "i can't,i cannot,i can not,i won't,i will not,i'm unable,i am unable,unable to assist,unable to help,can't help,cannot help," +
		"can't assist,cannot assist,cannot provide,can't provide,cannot fulfill,can't fulfill,cannot support,i'm not able,i am not able,not able to assist," +
		"i must decline,i have to decline,i refuse,not appropriate,is inappropriate,not comfortable,i'd rather not,i would not recommend,won't be able," +
		"against my,not something i can,i don't feel comfortable,can't comply,cannot comply,can't engage,cannot engage,can't support",
	catApology: "sorry,apologize,apologise,apologies,i regret,forgive me,unfortunately",
	catWarning: "illegal,unlawful,dangerous,harmful,unethical,immoral,risk,risks,danger,consequences,law,laws,legal,crime,criminal,violates,violation," +
		"safety,warning,caution,careful,please note,important to note,it's important,it is important,professional,consult,seek help,authorities",
	catSelf:       "as an ai,as a language model,an ai language,language model,ai assistant,as an assistant,i'm an ai,i am an ai,my programming,my guidelines",
	catConnective: "because,therefore,thus,hence,however,although,since,so that,for example,for instance,in addition,additionally,moreover,furthermore,first,second,third,finally,in conclusion,in summary,overall,instead",
	catOffer: "let me know,feel free,happy to help,glad to help,i can help,i'd be happy,i'm here to,here to help,if you need,if you have,if you'd like," +
		"would you like,how can i,can i help,hope this helps,i hope",
	catAgree:  "sure,certainly,of course,absolutely,yes,yeah,definitely,here is,here are,here's,great,okay,ok",
	catFirst:  "i,me,my,mine,i'm,i've,i'd,i'll,myself",
	catSecond: "you,your,yours,you're,you've,you'd,you'll,yourself",
}

// phrase is the rest of a phrase after its first word.
type phrase struct {
	rest []uint64
	cat  int
}

var phrases = func() map[uint64][]phrase {
	m := map[uint64][]phrase{}
	for cat, list := range phraseLists {
		for _, p := range strings.Split(list, ",") {
			t := tokenize(p, nil)
			m[t[0]] = append(m[t[0]], phrase{t[1:], cat})
		}
	}
	return m
}()

// phraseCounts is how often each category occurs in a reply.
type phraseCounts struct {
	n                     [numCats]int
	refusesEarly, agreesA bool
}

// countPhrases counts the phrases in the words of a reply.
func countPhrases(words []uint64) (c phraseCounts) {
	for i, w := range words {
	next:
		for _, p := range phrases[w] {
			if len(words)-i-1 < len(p.rest) {
				continue
			}
			for k, r := range p.rest {
				if words[i+1+k] != r {
					continue next
				}
			}
			c.n[p.cat]++
			if p.cat == catRefusal && i < 12 {
				c.refusesEarly = true
			}
			if p.cat == catAgree && i == 0 {
				c.agreesA = true
			}
		}
	}
	return c
}

// charCounts is what a pass over the characters of a reply gives.
type charCounts struct {
	points, letters, upper, digits, punct, nonASCII, emoji int
	sentences, questions, exclaims, quotes                 int
	paragraphs, bullets, numbered, headings, fences        int
	bold, tables, links, lines, repeatedLines              int
	last                                                   rune // last that is no space
}

func countChars(s string) (c charCounts) {
	ended := false // inside the punctuation that ends a sentence
	for _, r := range s {
		c.points++
		end := false
		if r < utf8.RuneSelf {
			switch b := byte(r); {
			case b >= 'a' && b <= 'z':
				c.letters++
			case b >= 'A' && b <= 'Z':
				c.letters++
				c.upper++
			case b >= '0' && b <= '9':
				c.digits++
			case b == ' ' || b == '\t' || b == '\r' || b == '\n':
				if ended {
					c.sentences++
					ended = false
				}
				continue
			case b > ' ' && b < 0x7f:
				c.punct++
				switch b {
				case '.':
					end = true
				case '?':
					end = true
					c.questions++
				case '!':
					end = true
					c.exclaims++
				case '"':
					c.quotes++
				case ')', '\'', '*', '_', ']':
					end = ended // what closes a sentence does not hide its end
				}
				if b == '"' {
					end = ended
				}
			}
		} else {
			c.nonASCII++
			switch {
			case unicode.IsLetter(r):
				c.letters++
				if unicode.IsUpper(r) {
					c.upper++
				}
			case unicode.IsDigit(r):
				c.digits++
			case unicode.IsSpace(r):
				if ended {
					c.sentences++
					ended = false
				}
				continue
			case unicode.IsPunct(r):
				c.punct++
				switch r {
				case '？', '؟':
					c.questions++
				case '！':
					c.exclaims++
				case '“', '”', '„', '«', '»':
					c.quotes++
					end = ended
				case '’', '）':
					end = ended
				}
				if r == '。' || r == '！' || r == '？' || r == '।' || r == '؟' {
					c.sentences++ // these need no space after them
				}
			case r > 0xffff || unicode.Is(unicode.So, r):
				c.emoji++
			}
		}
		ended = end
		c.last = r
	}
	if ended {
		c.sentences++
	}
	c.links = strings.Count(s, "://")
	c.bold = (strings.Count(s, "**") + strings.Count(s, "__")) / 2
	return c
}

// countLines adds what the lines of s show to c; seen is scratch space.
func countLines(s string, c *charCounts, seen map[string]struct{}) {
	clear(seen)
	blank := true
	for len(s) > 0 {
		line := s
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			line, s = s[:i], s[i+1:]
		} else {
			s = ""
		}
		line = strings.TrimSpace(line)
		if line == "" {
			blank = true
			continue
		}
		if blank {
			c.paragraphs++
			blank = false
		}
		c.lines++
		if _, ok := seen[line]; ok {
			c.repeatedLines++
		} else {
			seen[line] = struct{}{}
		}
		switch line[0] {
		case '#':
			c.headings++
		case '|':
			c.tables++
		case '`':
			if strings.HasPrefix(line, "```") {
				c.fences++
			}
		case '-', '*', '+':
			if len(line) > 1 && line[1] == ' ' {
				c.bullets++
			}
		default:
			if strings.HasPrefix(line, "• ") {
				c.bullets++
				break
			}
			d := 0
			for d < len(line) && d < 3 && line[d] >= '0' && line[d] <= '9' {
				d++
			}
			if d > 0 && d < len(line) && (line[d] == '.' || line[d] == ')') {
				c.numbered++
			}
		}
	}
}

func log1p(n int) float32 { return float32(math.Log1p(float64(n))) }

func share(n, of int) float32 {
	if of <= 0 {
		return 0
	}
	return float32(float64(n) / float64(of))
}

func flag(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// measure computes the style features of a reply, whose words are in e.words,
// to the prompt in e.prompt, into out.
func (e *extractor) measure(reply string, out []float32) {
	c := countChars(reply)
	countLines(reply, &c, e.lines)
	ph := countPhrases(e.words)
	words := len(e.words)
	sentences := c.sentences
	if sentences == 0 && words > 0 {
		sentences = 1
	}
	var repeated, copied, types, inPrompt int
	e.seen.reset()
	e.seenPairs.reset()
	prev := uint64(0)
	for i, w := range e.words {
		if e.seen.add(w) {
			types++
			if e.prompt.types.has(w) {
				inPrompt++
			}
		}
		if i > 0 {
			b := follow(prev, w)
			if !e.seenPairs.add(b) {
				repeated++
			}
			if e.prompt.pairs.has(b) {
				copied++
			}
		}
		prev = w
	}
	typeToken := float32(1)
	if words > 1 {
		typeToken = float32(math.Log1p(float64(types)) / math.Log1p(float64(words)))
	}
	ended := unicode.IsPunct(c.last) || c.last == '`' || c.last == '|' || unicode.IsSymbol(c.last)
	f := [...]float32{
		log1p(c.points),
		log1p(words),
		log1p(sentences),
		share(c.letters+c.digits, words),
		float32(math.Log1p(float64(share(words, sentences)))),
		log1p(c.paragraphs),
		log1p(c.bullets),
		log1p(c.numbered),
		log1p(c.headings),
		log1p(c.fences),
		log1p(c.bold),
		log1p(c.tables),
		log1p(c.questions),
		log1p(c.exclaims),
		log1p(c.quotes),
		log1p(c.links),
		share(c.digits, c.points),
		share(c.upper, c.letters),
		share(c.punct, c.points),
		share(c.nonASCII, c.points),
		log1p(c.emoji),
		typeToken,
		share(repeated, words-1),
		share(c.repeatedLines, c.lines),
		share(ph.n[catFirst], words),
		share(ph.n[catSecond], words),
		log1p(ph.n[catHedge]),
		log1p(ph.n[catRefusal]),
		flag(ph.refusesEarly),
		log1p(ph.n[catApology]),
		log1p(ph.n[catWarning]),
		log1p(ph.n[catSelf]),
		log1p(ph.n[catConnective]),
		flag(ph.agreesA),
		log1p(ph.n[catOffer]),
		flag(c.last == '?' || c.last == '？' || c.last == '؟'),
		flag(words > 0 && !ended),
		share(inPrompt, e.prompt.types.n),
		share(inPrompt, types),
		share(copied, words-1),
		float32(math.Log(float64(1+words) / float64(1+e.prompt.words))),
	}
	copy(out, f[:])
}
