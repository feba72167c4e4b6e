package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// requireFlag sets bounds that a result has to keep.
func requireFlag(example string) urfave.Flag {
	return &urfave.StringSliceFlag{Name: "require", Usage: "exit with 4 unless this holds, such as " + strconv.Quote(example) + ": a figure by its name in --json, with >=, <=, >, <, == and a number; repeated, all have to (`EXPR`)"}
}

// bound is a condition on a figure of a result.
type bound struct {
	text string
	path []string // keys, from the outside in
	op   string
	than float64
}

var boundOps = []string{">=", "<=", "==", ">", "<"} // those of two characters first

// parseBounds reads what --require says, so that a slip is found before the work
// begins.
func parseBounds(c *urfave.Context) (bounds []bound, err error) {
	for _, text := range c.StringSlice("require") {
		b := bound{text: text}
		for _, op := range boundOps {
			if left, right, ok := strings.Cut(text, op); ok {
				b.path, b.op = strings.Split(strings.TrimSpace(left), "."), op
				if b.than, err = strconv.ParseFloat(strings.TrimSpace(right), 64); err != nil || math.IsNaN(b.than) {
					return nil, usagef("--require %q: %q is not a number", text, strings.TrimSpace(right))
				}
				break
			}
		}
		if b.op == "" || slices.Contains(b.path, "") {
			return nil, hinted(usagef("--require %q is no condition", text), "an example: --require \"accuracy>=0.6\"")
		}
		bounds = append(bounds, b)
	}
	return bounds, nil
}

// unmet says which bounds the result, as --json prints it, does not keep. A
// figure that could not be computed keeps none; a name that the result does not
// have is an error.
func unmet(bounds []bound, result any) (broken []string, err error) {
	if len(bounds) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(result)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	for _, b := range bounds {
		v, ok := lookUp(tree, b.path)
		if !ok {
			return nil, hinted(usagef("--require %q: the result has no figure of that name", b.text), "--json shows the names; a dot goes into an object or a list")
		}
		x, isNumber := v.(float64)
		switch {
		case v == nil:
			broken = append(broken, fmt.Sprintf("%s: there is no figure", b.text))
		case !isNumber:
			return nil, usagef("--require %q: that is not a number", b.text)
		case !b.holds(x):
			broken = append(broken, fmt.Sprintf("%s: it is %s", b.text, strconv.FormatFloat(x, 'g', 4, 64)))
		}
	}
	return broken, nil
}

func (b *bound) holds(x float64) bool {
	switch b.op {
	case ">=":
		return x >= b.than
	case "<=":
		return x <= b.than
	case ">":
		return x > b.than
	case "<":
		return x < b.than
	}
	return x == b.than
}

// lookUp follows a path. In a list it goes to the element that a step names by
// its number or by one of its texts; probe.length is the element of any list whose
// "probe" is "length".
func lookUp(v any, path []string) (any, bool) {
	if len(path) == 0 {
		return v, true
	}
	step := path[0]
	switch x := v.(type) {
	case map[string]any:
		if next, ok := x[step]; ok {
			return lookUp(next, path[1:])
		}
		if len(path) < 2 {
			return nil, false
		}
		for _, key := range sortedKeys(x) {
			list, _ := x[key].([]any)
			for _, e := range list {
				if m, ok := e.(map[string]any); ok && m[step] == path[1] {
					return lookUp(e, path[2:])
				}
			}
		}
	case []any:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(x) {
			return lookUp(x[i], path[1:])
		}
		for _, e := range x {
			m, ok := e.(map[string]any)
			if !ok {
				continue
			}
			for _, key := range sortedKeys(m) {
				if m[key] == step {
					return lookUp(e, path[1:])
				}
			}
		}
	}
	return nil, false
}

// require prints the bounds that do not hold and gives the exit code for them.
func (a *app) require(bounds []bound, result any) error {
	broken, err := unmet(bounds, result)
	if err != nil {
		return err
	}
	for _, b := range broken {
		fmt.Fprintf(a.Err, "cai: does not hold: %s\n", printable(b))
	}
	if len(broken) > 0 {
		return silent(ExitCheck)
	}
	return nil
}
