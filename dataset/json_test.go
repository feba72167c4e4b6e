package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestPlain compares the search over eight bytes at a time with the obvious one.
func TestPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\x00\x1f\x20\x21\"#[\\]\x7f\x80\xff aaaa")))).Draw(t, "bytes")
		want := len(b)
		for i, c := range b {
			if c == '"' || c == '\\' || c < 0x20 {
				want = i
				break
			}
		}
		if got := plain(b); got != want {
			t.Fatalf("plain(%q) is %d, want %d", b, got, want)
		}
	})
}

// checkObject compares the scanner with encoding/json. Where both take a text
// they must agree on its fields; the scanner may refuse only what encoding/json
// would change: bytes that are not UTF-8, half surrogates, a key given twice,
// deep nesting.
func checkObject(t interface {
	Helper()
	Fatalf(string, ...any)
}, data []byte,
) {
	t.Helper()
	o, err := appendObject(nil, data)
	var want map[string]json.RawMessage
	stdErr := json.Unmarshal(data, &want)
	if stdErr == nil && want == nil {
		stdErr = errNoPrompt // null is no object
	}
	if err == nil && stdErr != nil {
		t.Fatalf("%q is read, encoding/json says %v", data, stdErr)
	}
	if err != nil {
		reason := err.Error()
		if stdErr == nil && utf8.Valid(data) && !strings.Contains(reason, "surrogate") &&
			!strings.Contains(reason, "given twice") && !strings.Contains(reason, "nested more") {
			t.Fatalf("%q is refused (%s), encoding/json reads it", data, reason)
		}
		return
	}
	if len(o) != len(want) {
		t.Fatalf("%q has %d fields, encoding/json finds %d", data, len(o), len(want))
	}
	for _, f := range o {
		if !bytes.Equal(f.Value, want[f.Key]) {
			t.Fatalf("%q: field %q is %s, encoding/json finds %s", data, f.Key, f.Value, want[f.Key])
		}
		var text string
		if got, err := unquote(f.Value); err == nil {
			if err := json.Unmarshal(f.Value, &text); err != nil || got != text {
				t.Fatalf("%s is %q, encoding/json reads %q (%v)", f.Value, got, text, err)
			}
		} else if kindOf(f.Value) == '"' {
			t.Fatalf("%s: %v", f.Value, err)
		}
		if list, err := elements(f.Value); err == nil {
			var all []json.RawMessage
			if err := json.Unmarshal(f.Value, &all); err != nil || len(all) != len(list) {
				t.Fatalf("%s has %d elements, encoding/json finds %d (%v)", f.Value, len(list), len(all), err)
			}
			for i := range list {
				if !bytes.Equal(list[i], all[i]) {
					t.Fatalf("%s: element %d is %s, encoding/json finds %s", f.Value, i, list[i], all[i])
				}
			}
		} else if kindOf(f.Value) == '[' {
			t.Fatalf("%s: %v", f.Value, err)
		}
	}
}

var objectSeeds = []string{
	`{}`, ` { } `, `{"a":1}`, `{"a":"x\n\u00e9\ud83d\ude00\/"}`, `{"a":[1,-0.5e+3,true,null,{"b":[]}]}`, `{"a":"\ud800"}`,
	`{"a":1,"a":2}`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":tru}`, `{"a" 1}`, `{"a":1,}`, `{"a":[1,]}`, `{"a":"`, `{"a":"\x"}`, `null`, `[]`,
	"{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}", `{"\u0061":1}`, `{"a":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`,
}

func TestObjectAgainstEncodingJSON(t *testing.T) {
	for _, s := range objectSeeds {
		checkObject(t, []byte(s))
	}
	piece := rapid.SampledFrom([]string{
		"{", "}", "[", "]", ",", ":", `"`, `"a"`, `"b":`, "1", "-0", "1e5", ".", "true", "null", " ", "\n", `\`, `\u`, "d83d", `\n`, "é", "\x00", "\xff",
	})
	rapid.Check(t, func(t *rapid.T) {
		body := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
		checkObject(t, []byte(body))
		checkObject(t, []byte("{"+body+"}"))
		checkObject(t, []byte(`{"k":"`+body+`"}`))
		checkObject(t, []byte(`{"k":[`+body+`]}`))
	})
}

func FuzzObject(f *testing.F) {
	for _, s := range objectSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkObject(t, data) })
}

func TestManyKeys(t *testing.T) {
	n := 200_000
	if testing.Short() {
		n = 2000
	}
	var b strings.Builder
	b.WriteString(`{"k":0`)
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	o, err := appendObject(nil, []byte(b.String()+"}"))
	if err != nil || len(o) != n+1 {
		t.Fatalf("%d fields, %v", len(o), err)
	}
	for _, again := range []string{"k", "k5", "k31", "k32", fmt.Sprint("k", n-1)} {
		if _, err := appendObject(nil, []byte(b.String()+`,"`+again+`":1}`)); err == nil || !strings.Contains(err.Error(), "given twice") {
			t.Errorf("key %q given twice: %v", again, err)
		}
	}
}
