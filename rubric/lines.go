package rubric

import (
	"regexp"
	"strings"
)

// place is where a criterion stands in its file, and the keys under it.
type place struct {
	line int
	keys map[string]int
}

// lineOf gives the line of a key, or that of the criterion.
func (p place) lineOf(key string) int {
	if l := p.keys[key]; l > 0 {
		return l
	}
	return p.line
}

var (
	header    = regexp.MustCompile(`^\s*\[\[\s*"?criteria"?\s*\]\]`)
	otherHead = regexp.MustCompile(`^\s*\[\[?\s*[A-Za-z0-9_"'.-]+\s*\]\]?\s*(#.*)?$`)
	keyLine   = regexp.MustCompile(`^\s*["']?([A-Za-z0-9_-]+)["']?\s*(?:=|\.)`)
)

// scan tells on which lines of a TOML file its keys and criteria stand. The
// decoder gives values without positions. What is not written one key a line,
// such as criteria in inline tables, gets the line of what it is in.
func scan(text string) (top map[string]int, criteria []place) {
	top = map[string]int{}
	under := top
	open := "" // the quotes that end the string the line begins in
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if open == "" {
			switch {
			case header.MatchString(line):
				under = map[string]int{}
				criteria = append(criteria, place{n, under})
				if top["criteria"] == 0 {
					top["criteria"] = n
				}
			case otherHead.MatchString(line):
				under = map[string]int{}
				name := strings.Trim(strings.TrimSpace(strings.SplitN(line, "#", 2)[0]), `[]"' `)
				if top[name] == 0 {
					top[name] = n
				}
			default:
				if m := keyLine.FindStringSubmatch(line); m != nil && under[m[1]] == 0 {
					under[m[1]] = n
				}
			}
		}
		open = openString(line, open)
	}
	return top, criteria
}

// openString gives the triple quotes of the string that a line leaves open,
// which began with it if open is not empty.
func openString(line, open string) string {
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case open != "":
			switch {
			case open == `"""` && line[i] == '\\':
				i++
			case strings.HasPrefix(rest, open):
				i += 2
				open = ""
			}
		case line[i] == '#':
			return ""
		case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, `'''`):
			open = rest[:3]
			i += 2
		case line[i] == '"' || line[i] == '\'':
			end := i + 1
			for end < len(line) && line[end] != line[i] {
				if line[i] == '"' && line[end] == '\\' {
					end++
				}
				end++
			}
			i = end
		}
	}
	return open
}
