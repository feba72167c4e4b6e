package constitution

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"cai/toml"
)

// Limits of a constitution file.
const (
	maxFile       = 4 << 20  // bytes
	maxText       = 16 << 10 // bytes of one text
	maxID         = 64       // bytes of an id or a tag
	maxTitle      = 200      // bytes
	maxPrinciples = 1000
	minWeight     = 0.001
	maxWeight     = 1000
)

// Error is one thing that is wrong with a constitution file. [Parse], [Load]
// and [Import] give all that they found, joined and in the order of lines.
type Error struct {
	File    string
	Line    int // from 1
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

// Load reads a constitution from a TOML file. See [Parse].
func Load(path string) (*Constitution, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads a constitution from TOML. name is the file's name in messages
// and in the result's File. A byte order mark and Windows line ends are
// accepted, and blanks around texts are taken away. A file with anything wrong
// in it gives an error that names every problem with its line; each is an
// [*Error].
func Parse(name string, data []byte) (*Constitution, error) {
	r := &reader{file: name}
	text, ok := r.text(data)
	if !ok {
		return nil, r.err()
	}
	m, places, bad := toml.Decode(text, "principle")
	if bad != nil {
		r.add(bad.Line, "%s", bad.Message)
		return nil, r.err()
	}
	r.places = places
	c := r.constitution(m)
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// reader gathers what is wrong with a file.
type reader struct {
	file   string
	places *toml.Places
	errs   []*Error
}

func (r *reader) add(line int, format string, args ...any) {
	r.errs = append(r.errs, &Error{r.file, max(1, line), fmt.Sprintf(format, args...)})
}

// err joins the problems in the order of their lines.
func (r *reader) err() error {
	slices.SortStableFunc(r.errs, func(a, b *Error) int { return a.Line - b.Line })
	errs := make([]error, len(r.errs))
	for i, e := range r.errs {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// text gives the file as UTF-8 without a byte order mark and with \n at the
// ends of its lines.
func (r *reader) text(data []byte) (string, bool) {
	if len(data) > maxFile {
		r.add(1, "the file is larger than %d MiB", maxFile>>20)
		return "", false
	}
	s := strings.TrimPrefix(string(data), "\ufeff")
	if strings.HasPrefix(s, "\xff\xfe") || strings.HasPrefix(s, "\xfe\xff") {
		r.add(1, "the file is UTF-16; save it as UTF-8")
		return "", false
	}
	if !utf8.ValidString(s) {
		line := 1
		for i := 0; i < len(s); {
			c, n := utf8.DecodeRuneInString(s[i:])
			if c == utf8.RuneError && n == 1 {
				break
			}
			if c == '\n' {
				line++
			}
			i += n
		}
		r.add(line, "the file is not UTF-8")
		return "", false
	}
	return strings.ReplaceAll(s, "\r\n", "\n"), true
}
