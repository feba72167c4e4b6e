package constitution_test

import (
	"fmt"
	"strings"
	"testing"

	"cai/constitution"
)

func TestSelect(t *testing.T) {
	c := parse(t, principle("honest", `tags = ["honesty", "core"]`)+principle("private", `tags = ["privacy"]`)+principle("kind", `tags = ["core"]`))
	for _, tc := range []struct{ ids, want string }{
		{"", "honest private kind"},
		{"kind", "kind"},
		{"kind honest kind", "kind honest"},
		{"tag:core", "honest kind"},
		{"private tag:core honest", "private honest kind"},
		{"kind tag:core", "kind honest"},
	} {
		got, err := c.Select(strings.Fields(tc.ids))
		var ids []string
		for _, p := range got {
			ids = append(ids, p.ID)
		}
		if err != nil || strings.Join(ids, " ") != tc.want {
			t.Errorf("Select(%q) = %v, %v; want %s", tc.ids, ids, err, tc.want)
		}
	}
	for _, tc := range []struct{ id, want string }{
		{"honset", `no principle "honset": did you mean "honest"?; there are honest, private, kind`},
		{"HONEST", `no principle "HONEST": did you mean "honest"?; there are honest, private, kind`},
		{"privacy", `no principle "privacy": did you mean "private"?; there are honest, private, kind`},
		{"core", `no principle "core": did you mean "tag:core"?; there are honest, private, kind`},
		{"zzz", `no principle "zzz"; there are honest, private, kind`},
		{"honest,kind", `no principle "honest,kind": name each one by itself; there are honest, private, kind`},
		{"", "a principle's id is blank"},
		{"tag:privcy", `no principle has the tag "privcy": did you mean "privacy"?; there are core, honesty, privacy`},
		{"tag:", `no principle has the tag ""; there are core, honesty, privacy`},
	} {
		got, err := c.Select([]string{"kind", tc.id})
		if err == nil || err.Error() != tc.want || got != nil {
			t.Errorf("Select(%q): %v, %v; want %s", tc.id, got, err, tc.want)
		}
	}
	if _, err := c.Select([]string{"x1", "kind", "tag:x2"}); err == nil || !strings.Contains(err.Error(), "x1") || !strings.Contains(err.Error(), "x2") {
		t.Errorf("not all unknown ones are named: %v", err)
	}
	if _, err := parse(t, principle("a", "")).Select([]string{"tag:x"}); err == nil || err.Error() != `no principle has the tag "x": none has any tag` {
		t.Error(err)
	}
}

// What is selected can be changed without changing the constitution's list.
func TestSelectCopies(t *testing.T) {
	c := parse(t, principle("a", ""))
	got, err := c.Select(nil)
	if err != nil {
		t.Fatal(err)
	}
	got[0].Weight = 7
	if c.Principles[0].Weight != 1 {
		t.Error("the constitution changed")
	}
}

func TestSelectListsNoEndOfNames(t *testing.T) {
	c := &constitution.Constitution{}
	for i := range 100 {
		c.Principles = append(c.Principles, constitution.Principle{ID: fmt.Sprint("principle-number-", i)})
	}
	_, err := c.Select([]string{"zzz"})
	if err == nil || !strings.HasSuffix(err.Error(), "principle-number-29 and 70 more") {
		t.Error(err)
	}
}
