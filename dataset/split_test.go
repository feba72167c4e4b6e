package dataset_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cai/dataset"

	"pgregory.net/rapid"
)

// TestSplit: parts have their shares of every stratum but for the records of two
// prompts, no prompt is in two of them, and the order of the records is no matter.
func TestSplit(t *testing.T) {
	type rec struct{ key, stratum string }
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Int64().Draw(t, "seed")
		shares := rapid.SampledFrom([][]dataset.Share{
			{{"train", 0.9}, {"test", 0.1}},
			{{"a", 0.5}, {"b", 0.3}, {"c", 0.2}},
			{{"all", 1}},
		}).Draw(t, "shares")
		var records []rec
		most := 0
		total := map[string]int{}
		for i := range rapid.IntRange(1, 80).Draw(t, "prompts") {
			stratum := rapid.SampledFrom([]string{"x", "y", ""}).Draw(t, "stratum")
			n := rapid.IntRange(1, 4).Draw(t, "n")
			most = max(most, n)
			for range n {
				records = append(records, rec{fmt.Sprint(i), stratum})
				total[stratum]++
			}
		}
		deal := func(records []rec) map[string]int {
			s := dataset.NewSplitter(shares, seed)
			for _, r := range records {
				s.Count(dataset.HashOf("k", r.key), r.stratum)
			}
			s.Deal()
			parts := map[string]int{}
			for _, r := range records {
				part, err := s.Part(dataset.HashOf("k", r.key))
				if err != nil {
					t.Fatal(err)
				}
				if before, ok := parts[r.key]; ok && before != part {
					t.Fatalf("prompt %s is in two parts", r.key)
				}
				parts[r.key] = part
			}
			return parts
		}
		parts := deal(records)
		counts := map[string][]int{}
		for _, r := range records {
			if counts[r.stratum] == nil {
				counts[r.stratum] = make([]int, len(shares))
			}
			counts[r.stratum][parts[r.key]]++
		}
		for stratum, n := range counts {
			for i, share := range shares {
				if off := math.Abs(float64(n[i]) - share.Of*float64(total[stratum])); off > float64(most)+1e-6 {
					t.Fatalf("stratum %q: %d of %d records for %v, prompts having at most %d", stratum, n[i], total[stratum], share, most)
				}
			}
		}
		for key, part := range deal(rapid.Permutation(records).Draw(t, "shuffled")) {
			if parts[key] != part {
				t.Fatalf("prompt %s: part %d, in another order %d", key, parts[key], part)
			}
		}
	})
}

// TestSplitOfSmallStrata: strata of three records still give a tenth of theirs to a
// part of a tenth.
func TestSplitOfSmallStrata(t *testing.T) {
	s := dataset.NewSplitter([]dataset.Share{{"train", 0.9}, {"test", 0.1}}, 7)
	const strata = 2000
	key := func(i, j int) dataset.Hash { return dataset.HashOf("k", fmt.Sprint(i, " ", j)) }
	for i := range strata {
		for j := range 3 {
			s.Count(key(i, j), fmt.Sprint(i))
		}
	}
	s.Deal()
	n := 0
	for i := range strata {
		for j := range 3 {
			part, err := s.Part(key(i, j))
			if err != nil {
				t.Fatal(err)
			}
			n += part
		}
	}
	// 600 expected; the number in a stratum is 0 or 1 with probability 0.3.
	if sd := math.Sqrt(strata * 0.3 * 0.7); math.Abs(float64(n)-600) > 4*sd {
		t.Errorf("%d of 6000 records are in the tenth", n)
	}
	if _, err := s.Part(dataset.HashOf("another")); err == nil {
		t.Error("a key that was not counted has a part")
	}
}

func TestParseShares(t *testing.T) {
	got, err := dataset.ParseShares("train=0.8, val=0.1,test=0.1")
	if err != nil || len(got) != 3 || got[1] != (dataset.Share{Name: "val", Of: 0.1}) {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{
		"train":                      "no name and share",
		"train=0.9":                  "make up 0.9",
		"train=1.5":                  "no share",
		"train=0.5,test=-0.5":        "no share",
		"train=NaN,test=1":           "no share",
		"../x=0.5,y=0.5":             "no name of letters",
		"=1":                         "no name of letters",
		"train=0.5,Train=0.5":        "twice",
		"train=0.9,test=0.1,x=1e-99": "",
	} {
		if _, err := dataset.ParseShares(text); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestSplitName(t *testing.T) {
	for in, want := range map[string]string{
		"out.jsonl": "out.t.jsonl", "a.b/out.JSONL.gz": "a.b/out.t.JSONL.gz", "x.parquet": "x.t.parquet",
		"out": "out.t", ".hidden": ".hidden.t", "v1.2.csv.zst": "v1.2.t.csv.zst",
	} {
		if got := dataset.SplitName(in, "t"); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}

// TestCommitAll: files appear together, and none where one of them fails.
func TestCommitAll(t *testing.T) {
	dir := t.TempDir()
	create := func(name string) *dataset.File {
		t.Helper()
		f, err := dataset.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(name)); err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := create("a"), create("b.gz")
	if err := dataset.CommitAll(a, b); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(got) != "a" {
		t.Errorf("%q, %v", got, err)
	}
	c, d := create("c"), create("d")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := dataset.CommitAll(c, d); err == nil {
		t.Error("a closed file is committed")
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 2 {
		t.Errorf("there are %q, %v", names, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) != 0 {
		t.Errorf("left beside: %q, %v", left, err)
	}
}
