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

// opensPhrase has a bit for the first word of each phrase, by its lowest bits;
// few other words pass it.
var opensPhrase = func() (t [1 << 13 / 64]uint64) {
	for w := range phrases {
		t[w>>6%uint64(len(t))] |= 1 << (w % 64)
	}
	return t
}()

// phraseCounts is how often each category occurs in a reply.
type phraseCounts struct {
	n                     [numCats]int
	refusesEarly, agreesA bool
}

// countPhrases counts the phrases in the words of a reply.
func countPhrases(words []uint64) (c phraseCounts) {
	for i, w := range words {
		if opensPhrase[w>>6%uint64(len(opensPhrase))]>>(w%64)&1 == 0 {
			continue
		}
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

// What an ASCII byte does to the end of a sentence.
const (
	ends   = 1 // it is punctuation that ends one
	closes = 2 // it may follow that and does not hide the end
	spaces = 4 // it is white space, which makes the end certain
)

// byteKind has ends, closes, spaces or 0 for each byte.
var byteKind = [256]uint8{
	'.': ends, '?': ends, '!': ends,
	')': closes, '\'': closes, '*': closes, '_': closes, ']': closes, '"': closes,
	' ': spaces, '\t': spaces, '\r': spaces, '\n': spaces,
}

// countChars looks at each character once. ASCII is counted by the byte,
// without branches.
func countChars(s string) (c charCounts) {
	var seen [128]uint32
	ended := uint8(0) // 1 inside the punctuation that ends a sentence
	for i := 0; i < len(s); {
		if b := s[i]; b < utf8.RuneSelf {
			i++
			seen[b]++
			k := byteKind[b]
			c.sentences += int(ended & (k >> 2))
			ended = k&ends | ended&(k>>1)
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		ended = c.wide(r, ended)
	}
	c.sentences += int(ended)
	c.points = c.nonASCII
	for b, n := range seen {
		n := int(n)
		c.points += n
		switch {
		case b >= 'a' && b <= 'z':
			c.letters += n
		case b >= 'A' && b <= 'Z':
			c.letters += n
			c.upper += n
		case b >= '0' && b <= '9':
			c.digits += n
		case b > ' ' && b < 0x7f:
			c.punct += n
		}
	}
	c.questions += int(seen['?'])
	c.exclaims += int(seen['!'])
	c.quotes += int(seen['"'])
	if seen[':'] > 0 {
		c.links = strings.Count(s, "://")
	}
	if seen['*'] > 1 {
		c.bold = strings.Count(s, "**")
	}
	if seen['_'] > 1 {
		c.bold += strings.Count(s, "__")
	}
	c.bold /= 2
	c.last = lastMark(s)
	return c
}

// wide counts a character outside ASCII and gives what ended becomes.
func (c *charCounts) wide(r rune, ended uint8) uint8 {
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
		c.sentences += int(ended)
	case unicode.IsPunct(r):
		c.punct++
		switch r {
		case '？', '؟':
			c.questions++
		case '！':
			c.exclaims++
		case '“', '”', '„', '«', '»':
			c.quotes++
			return ended
		case '’', '）':
			return ended
		}
		if r == '。' || r == '！' || r == '？' || r == '।' || r == '؟' {
			c.sentences++ // these need no space after them
		}
	case r > 0xffff || unicode.Is(unicode.So, r):
		c.emoji++
	}
	return 0
}

// lastMark gives the last character of s that is no white space, 0 if there is
// none.
func lastMark(s string) rune {
	for len(s) > 0 {
		r, n := utf8.DecodeLastRuneInString(s)
		if r >= utf8.RuneSelf && !unicode.IsSpace(r) || r < utf8.RuneSelf && byteKind[r]&spaces == 0 {
			return r
		}
		s = s[:len(s)-n]
	}
	return 0
}

// countLines adds what the lines of s show to c; seen is scratch space.
func countLines(s string, c *charCounts, seen *wordSet) {
	seen.reset()
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
		if !seen.add(hashBytes(line)) {
			c.repeatedLines++
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
	countLines(reply, &c, &e.lines)
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
