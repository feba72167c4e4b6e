package cli

import "testing"

func TestSizes(t *testing.T) {
	for s, want := range map[string]int64{
		"1": 1, "12B": 12, "500MB": 500e6, "2GB": 2e9, "1.5g": 15e8, "3 k": 3000, "1KiB": 1024, "2Gi": 2 << 30, "1tb": 1e12,
	} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: %d %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "GB", "-1GB", "0", "1mg", "1iB", "NaN", "1e30", "5 apples", "InfGB", "0.1", "1BB", "1MBB"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
}
