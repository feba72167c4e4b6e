package toml

import (
	"strconv"
	"strings"
)

// Bounds that keep the TOML decoder from deep recursion and quadratic work on
// a hostile file.
const (
	maxDepth = 16 // of arrays and inline tables in one another
	maxParts = 16 // of one dotted key
)

// Places tells on which lines of a file, from 1, its keys and the tables of one
// array stand. The decoder gives values without positions, so the file is scanned
// once more.
type Places struct {
	Keys   map[string]int // top-level keys and tables
	Tables []Place        // of the array
	// array is the name of the array of tables.
	array   string
	tooDeep int // the first line nested beyond the bounds; 0 if there is none
	open    int // the line where a multi-line string begins that never ends; 0 if there is none
}

// Place is one table's header and the keys under it.
type Place struct {
	Line int
	keys map[string]int
}

// Table gives where the i-th table of the array stands, from 0. A table that was
// not found stands where the array does.
func (p *Places) Table(i int) Place {
	if i < len(p.Tables) {
		return p.Tables[i]
	}
	return Place{Line: max(1, p.Keys[p.array])}
}

// LineOf gives the line of a key in the table, or that of the table.
func (p Place) LineOf(key string) int {
	if l := p.keys[key]; l > 0 {
		return l
	}
	return p.Line
}

// scanner walks over TOML by strings, comments and brackets alone. On what is
// not TOML it gives some answer and ends; the decoder reports such a file.
type scanner struct {
	s    string
	pos  int
	line int
	out  Places
	// under is where keys belong: nil is a table that nobody knows.
	under map[string]int
}

// scan finds the lines of a file whose line ends are \n. The tables of the array
// of that name are told apart.
func scan(s, array string) Places {
	sc := &scanner{s: s, line: 1, out: Places{Keys: map[string]int{}, array: array}}
	sc.under = sc.out.Keys
	for sc.blank(true); sc.pos < len(s); sc.blank(true) {
		start := sc.pos
		if sc.s[sc.pos] == '[' {
			sc.header()
		} else if key := sc.key(); sc.peek() == '=' {
			sc.record(sc.under, key)
			sc.pos++
			sc.value(sc.isRoot() && len(key) == 1 && key[0] == array)
		}
		if sc.pos == start {
			sc.pos++
		}
	}
	return sc.out
}

func (sc *scanner) isRoot() bool { return len(sc.out.Tables) == 0 && sc.under != nil }

func (sc *scanner) peek() byte {
	if sc.pos < len(sc.s) {
		return sc.s[sc.pos]
	}
	return 0
}

// blank skips blanks and, where lines is set, line ends and comments.
func (sc *scanner) blank(lines bool) {
	for sc.pos < len(sc.s) {
		switch c := sc.s[sc.pos]; {
		case c == ' ' || c == '\t' || c == '\r':
			sc.pos++
		case c == '\n' && lines:
			sc.line++
			sc.pos++
		case c == '#' && lines:
			sc.rest()
		default:
			return
		}
	}
}

// rest skips to the end of the line.
func (sc *scanner) rest() {
	if i := strings.IndexByte(sc.s[sc.pos:], '\n'); i >= 0 {
		sc.pos += i
	} else {
		sc.pos = len(sc.s)
	}
}

func (sc *scanner) record(keys map[string]int, key []string) {
	if keys == nil || len(key) == 0 {
		return
	}
	if _, ok := keys[key[0]]; !ok {
		keys[key[0]] = sc.line
	}
}

// header reads [a.b] or [[a.b]].
func (sc *scanner) header() {
	array := strings.HasPrefix(sc.s[sc.pos:], "[[")
	sc.pos++
	if array {
		sc.pos++
	}
	key := sc.key()
	sc.under = nil
	switch {
	case len(key) == 0:
	case key[0] != sc.out.array || len(key) == 1 && !array:
		sc.record(sc.out.Keys, key)
	case len(key) == 1:
		sc.record(sc.out.Keys, key)
		sc.under = sc.table()
	case len(sc.out.Tables) > 0: // a table inside the last one
		sc.record(sc.out.Tables[len(sc.out.Tables)-1].keys, key[1:])
	}
	sc.rest()
}

func (sc *scanner) table() map[string]int {
	keys := map[string]int{}
	sc.out.Tables = append(sc.out.Tables, Place{Line: sc.line, keys: keys})
	return keys
}

// key reads a dotted key and the blanks behind it.
func (sc *scanner) key() []string {
	var parts []string
	for {
		sc.blank(false)
		start := sc.pos
		if c := sc.peek(); c == '"' || c == '\'' {
			sc.str()
			raw := sc.s[start:sc.pos]
			part, err := strconv.Unquote(raw)
			if c == '\'' || err != nil {
				part = strings.Trim(raw, string(c))
			}
			parts = append(parts, part)
		} else {
			for sc.pos < len(sc.s) && !strings.ContainsRune(" \t\r\n.=[]{}#,\"'", rune(sc.s[sc.pos])) {
				sc.pos++
			}
			parts = append(parts, sc.s[start:sc.pos])
		}
		sc.blank(false)
		if len(parts) > maxParts {
			sc.deep()
		}
		if sc.peek() != '.' {
			return parts
		}
		sc.pos++
	}
}

func (sc *scanner) deep() {
	if sc.out.tooDeep == 0 {
		sc.out.tooDeep = sc.line
	}
}

// str skips a string of any of the four kinds.
func (sc *scanner) str() {
	quote := sc.s[sc.pos : sc.pos+1]
	if strings.HasPrefix(sc.s[sc.pos:], strings.Repeat(quote, 3)) {
		start := sc.line
		sc.pos += 3
		for sc.pos < len(sc.s) {
			switch {
			case sc.s[sc.pos] == '\n':
				sc.line++
			case sc.s[sc.pos] == '\\' && quote == `"` && sc.pos+1 < len(sc.s) && sc.s[sc.pos+1] != '\n':
				sc.pos++
			case strings.HasPrefix(sc.s[sc.pos:], strings.Repeat(quote, 3)):
				sc.pos += 3
				for range 2 { // quotes of the text stand right before the closing ones
					if sc.peek() == quote[0] {
						sc.pos++
					}
				}
				return
			}
			sc.pos++
		}
		sc.out.open = start
		return
	}
	for sc.pos++; sc.pos < len(sc.s) && sc.s[sc.pos] != '\n'; sc.pos++ {
		switch {
		case sc.s[sc.pos] == '\\' && quote == `"` && sc.pos+1 < len(sc.s) && sc.s[sc.pos+1] != '\n':
			sc.pos++
		case sc.s[sc.pos] == quote[0]:
			sc.pos++
			return
		}
	}
}

// value skips what stands behind an equals sign. With track, the inline tables
// of an array are those of the array.
func (sc *scanner) value(track bool) {
	var open []byte
	var keys map[string]int // of the inline table that is one of the array's
	for sc.blank(len(open) > 0); sc.pos < len(sc.s); sc.blank(len(open) > 0) {
		c := sc.s[sc.pos]
		switch c {
		case '\n', '#': // only outside brackets
			return
		case '"', '\'':
			sc.str()
			continue
		case '[', '{':
			open = append(open, c)
			if len(open) > maxDepth {
				sc.deep()
			}
			if track && string(open) == "[{" {
				keys = sc.table()
			}
		case ']', '}':
			if len(open) == 0 {
				sc.rest()
				return
			}
			open = open[:len(open)-1]
		}
		sc.pos++
		if c != '{' && c != ',' || len(open) == 0 || open[len(open)-1] != '{' {
			continue
		}
		sc.blank(true)
		line := sc.line
		if key := sc.key(); sc.peek() == '=' && track && string(open) == "[{" && keys != nil {
			if _, ok := keys[key[0]]; !ok {
				keys[key[0]] = line
			}
		}
	}
}
