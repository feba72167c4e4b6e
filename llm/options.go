package llm

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ollama/ollama/api"
)

// optionTypes has Ollama's options and their types, read from the client
// library so that they are those of its version.
var optionTypes = func() map[string]reflect.Kind {
	m := map[string]reflect.Kind{keepAlive: reflect.Invalid}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[api.Options]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue // the embedded struct
		}
		t := f.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		m[name] = t.Kind()
	}
	return m
}()

// keepAlive is no option to Ollama but stands beside them in a request.
const keepAlive = "keep_alive"

// answering are the options that change what a model answers. num_ctx is none:
// nothing is ever cut to fit it.
var answering = []string{
	"seed", "temperature", "top_k", "top_p", "min_p", "typical_p",
	"repeat_last_n", "repeat_penalty", "presence_penalty", "frequency_penalty", "stop",
}

// bounds are the values that options can take, where the type alone would let
// nonsense through.
var bounds = map[string][2]float64{
	"num_ctx": {1, 1 << 30}, "num_batch": {1, 1 << 30}, "num_thread": {0, 1 << 16},
	"num_gpu": {-1, 1 << 16}, "main_gpu": {0, 1 << 16}, "num_predict": {-2, 1 << 30}, "num_keep": {-1, 1 << 30},
	"repeat_last_n": {-1, 1 << 30}, "top_k": {0, 1 << 30}, "seed": {math.MinInt32, math.MaxInt32},
	"temperature": {0, 100}, "top_p": {0, 1}, "min_p": {0, 1}, "typical_p": {0, 1},
	"repeat_penalty": {0, 100}, "presence_penalty": {-100, 100}, "frequency_penalty": {-100, 100},
}

// ParseOptions reads options written KEY=VALUE, checks their names and types
// against Ollama's, and gives their values in one spelling (0.50 as 0.5). Of an
// option that is given twice the last counts, but stop, which may be a text or
// a JSON array of texts, collects. keep_alive (5m, 0, -1) is accepted too.
func ParseOptions(kv []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range kv {
		key, value, ok := strings.Cut(s, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, fmt.Errorf("option %q is not KEY=VALUE", s)
		}
		v, err := parseOption(key, value)
		if err != nil {
			return nil, err
		}
		if stop, ok := v.([]string); ok && out[key] != "" {
			var before []string
			if err := json.Unmarshal([]byte(out[key]), &before); err != nil {
				return nil, fmt.Errorf("option %s: %w", key, err)
			}
			v = slices.Concat(before, stop)
		}
		out[key] = spell(v)
	}
	return out, nil
}

// AnswerOptions gives those of the options that change what a model answers;
// the others say how the server runs it.
func AnswerOptions(o map[string]string) map[string]string {
	out := map[string]string{}
	for _, k := range answering {
		if v, ok := o[k]; ok {
			out[k] = v
		}
	}
	return out
}

// typed gives options with the types that Ollama's JSON wants.
func typed(o map[string]string) (map[string]any, error) {
	out := map[string]any{}
	for _, k := range slices.Sorted(maps.Keys(o)) {
		v, err := parseOption(k, o[k])
		if err != nil {
			return nil, err
		}
		out[k] = v
	}
	return out, nil
}

// parseOption gives an option's value as an int, float64, bool, []string or
// time.Duration.
func parseOption(key, value string) (any, error) {
	kind, ok := optionTypes[key]
	if !ok {
		return nil, fmt.Errorf("option %q is not known%s", key, suggest(key, slices.Sorted(maps.Keys(optionTypes))))
	}
	text := strings.TrimSpace(value)
	wrong := func(want string) error { return fmt.Errorf("option %s: %q is not %s", key, value, want) }
	switch {
	case !utf8.ValidString(value): // JSON would carry another text to the server
		return nil, wrong("UTF-8")
	case key == keepAlive:
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			if n < 0 {
				n = -1
			}
			return time.Duration(n) * time.Second, nil
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, wrong("a duration such as 5m, 0 or -1")
		}
		if d < 0 {
			d = -time.Second
		}
		return d, nil
	case kind == reflect.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, wrong("a whole number")
		}
		return int(n), within(key, float64(n))
	case kind == reflect.Float32:
		f, err := strconv.ParseFloat(text, 32)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, wrong("a number")
		}
		// The shortest decimal that is the same float32, so that 0.1 stays 0.1.
		f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'g', -1, 32), 64)
		return f + 0, within(key, f) // + 0 makes -0 into 0
	case kind == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, wrong("true or false")
		}
		return b, nil
	case kind == reflect.Slice:
		if strings.HasPrefix(text, "[") {
			var a []string
			if err := json.Unmarshal([]byte(text), &a); err == nil {
				if slices.Contains(a, "") {
					return nil, wrong("a list without empty texts")
				}
				return a, nil
			}
		}
		if value == "" {
			return nil, wrong("a text or a JSON array of texts")
		}
		return []string{value}, nil
	}
	return nil, fmt.Errorf("option %s cannot be set", key)
}

func within(key string, v float64) error {
	if b, ok := bounds[key]; ok && (v < b[0] || v > b[1]) {
		return fmt.Errorf("option %s: %v is not between %v and %v", key, v, b[0], b[1])
	}
	return nil
}

// spell writes an option's value so that [parseOption] reads it back.
func spell(v any) string {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case []string:
		if v == nil {
			v = []string{}
		}
		b, _ := json.Marshal(v) // texts cannot fail
		return string(b)
	case time.Duration:
		if v < 0 {
			return "-1"
		}
		return v.String()
	}
	return fmt.Sprint(v)
}

// suggest names what a misspelt name may have meant.
func suggest(name string, known []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "; known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is how many letters must be put in, taken out or changed to make one
// text of the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
