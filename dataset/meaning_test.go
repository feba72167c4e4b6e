package dataset_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// looks are texts that look like something else: what programs make of cells, and
// what formats write for other things.
var looks = []string{
	"", " ", "0", "007", "1.0", "1,5", "-3", "+1", "1e5", "NaN", "true", "False", "null", "None", "N/A", "2026-12-01", "12/01/26", "=1+1", "@SUM(A1)", "'quoted'",
	" led and followed by blanks ", "\ttab", "a\nb", "a\r\nb", "a\rb", `say "hi"`, `\N`, `\.`, "#N/A", "[1, 2]", `{"a":1}`, `["x","y"]`, "\u2028", "\ufeffmark", "a;b|c,d\te",
}

// look draws such a text, or any other.
func look() *rapid.Generator[string] { return rapid.OneOf(rapid.SampledFrom(looks), text()) }

// column draws a value of a further column.
func column() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Map(look(), func(s string) string {
			raw, err := json.Marshal(s)
			if err != nil {
				panic(err)
			}
			return string(raw)
		}),
		rapid.SampledFrom([]string{"0", "12", "-1.5", "true", "false", "null", "[]", `["a",null]`, `[{"k":[1]}]`, `{"k":"v"}`, "12345678901234567890"}),
	)
}

// turns draws a conversation whose messages may have further keys and tools.
func turns() *rapid.Generator[dataset.Conversation] {
	extra := rapid.SampledFrom([]string{"", "", "", `{"name":"n"}`, `{"weight":0}`})
	return rapid.Custom(func(t *rapid.T) dataset.Conversation {
		c := conversation().Draw(t, "prompt")
		for i := range c {
			c[i].Extra = extra.Draw(t, "key")
		}
		if rapid.IntRange(0, 5).Draw(t, "tools") == 0 {
			c = append(c, dataset.Message{Role: "assistant", Extra: `{"content":null,"tool_calls":[{"id":"1"}]}`}, dataset.Message{Role: "tool", Content: look().Draw(t, "result")}, dataset.Message{Role: "user", Content: "and?"})
		}
		return c
	})
}

// aRecord draws a pair with all that a pair may have, or a list of ranked replies.
func aRecord(line int) *rapid.Generator[*dataset.Record] {
	return rapid.Custom(func(t *rapid.T) *dataset.Record {
		r := &dataset.Record{Source: dataset.Source{File: "f", Line: line}}
		for _, key := range []string{"topic", "Ä b", "extra", "x;y"} {
			if rapid.Bool().Draw(t, key) {
				r.Source.Extra = append(r.Source.Extra, dataset.Field{Key: key, Value: json.RawMessage(column().Draw(t, "value"))})
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "list") == 0 {
			r.Prompt = turns().Draw(t, "prompt")
			for i := range rapid.IntRange(2, 4).Draw(t, "replies") {
				r.Responses = append(r.Responses, dataset.Response{Text: fmt.Sprint(i, look().Draw(t, "reply"))})
				r.Ranks = append(r.Ranks, float64(rapid.IntRange(0, 3).Draw(t, "rank")))
			}
			return r
		}
		reply := func(author string) dataset.Response {
			return dataset.Response{
				Text: look().Draw(t, "reply"), Author: rapid.SampledFrom([]string{"", author}).Draw(t, "author"),
				Extra: rapid.SampledFrom([]string{"", "", `{"name":"n"}`}).Draw(t, "key"),
			}
		}
		p := &dataset.Pair{Prompt: turns().Draw(t, "prompt"), First: reply("m1"), Second: reply("m2"), P: rapid.SampledFrom([]float64{0, 1, 0.5, 0.3, 0.75, math.NaN()}).Draw(t, "p")}
		if rapid.IntRange(0, 3).Draw(t, "people") == 0 {
			p.Votes = rapid.SliceOfN(rapid.SampledFrom([]float64{0, 1, 0.5}), 1, 3).Draw(t, "votes")
			p.P = 0
			for _, v := range p.Votes {
				p.P += v / float64(len(p.Votes))
			}
		} else if p.Labelled() && rapid.IntRange(0, 2).Draw(t, "margin") == 0 {
			r.Source.Extra = append(r.Source.Extra, dataset.Field{Key: "margin", Value: json.RawMessage(rapid.SampledFrom([]string{"2.5", "0.25", "-1"}).Draw(t, "by"))})
		}
		p.Source = r.Source
		r.Pair = p
		return r
	})
}

// writeRecords writes records in a format into a container and gives what was left
// out and lost.
func writeRecords(t *rapid.T, format, name string, records []*dataset.Record) []dataset.Loss {
	var b bytes.Buffer
	c, err := dataset.NewConverter(format, name, &b, dataset.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := c.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	switch filepath.Ext(name) {
	case ".gz":
		data = packed(b.String())
	case ".zst":
		data = zstandard(b.String())
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return c.Losses()
}

// meaning is what a file says, its further columns as a container of texts has them.
type meaning struct {
	Pairs   []*dataset.Pair
	Replies []*dataset.Reply
	Extra   []map[string]string
	Errors  []string
}

// meaningOf reads a file.
func meaningOf(name, format string) (m meaning) {
	o := dataset.ReadOptions{Format: readName(format)}
	note := func(s *dataset.Source) {
		texts := map[string]string{}
		for _, f := range s.Extra {
			text := string(f.Value)
			var plain string
			if json.Unmarshal(f.Value, &plain) == nil && text != "null" {
				text = plain
			}
			if text != "null" && text != "" { // which a cell cannot tell from nothing
				texts[f.Key] = strings.TrimSuffix(text, ".0") // as Parquet's floats have it
			}
		}
		m.Extra = append(m.Extra, texts)
		*s = dataset.Source{Sub: s.Sub, ID: s.ID}
	}
	if format == "sft" {
		for r, err := range dataset.Replies(name, o) {
			if err != nil {
				m.Errors = append(m.Errors, reason(err))
				continue
			}
			note(&r.Source)
			m.Replies = append(m.Replies, r)
		}
		return m
	}
	for p, err := range dataset.Pairs(name, o) {
		if err != nil {
			m.Errors = append(m.Errors, reason(err))
			continue
		}
		note(&p.Source)
		m.Pairs = append(m.Pairs, p)
	}
	return m
}

// reason is an error without its place.
func reason(err error) string {
	_, text, _ := strings.Cut(err.Error(), ": ")
	return text
}

// TestEveryFormatInEveryContainer: the same records in the same format mean the same
// in JSON Lines, JSON, CSV, TSV and Parquet, compressed or not: pairs, labels, votes,
// ties, ranks, margins, authors, messages with their keys, and further columns. What
// a format cannot hold is the same everywhere, too.
func TestEveryFormatInEveryContainer(t *testing.T) {
	dir := t.TempDir()
	for _, format := range dataset.WriteFormats() {
		t.Run(format, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var records []*dataset.Record
				for i := range rapid.IntRange(1, 3).Draw(t, "records") {
					records = append(records, aRecord(i+1).Draw(t, "record"))
				}
				if format == "rmbench" {
					records = []*dataset.Record{{Prompt: turns().Draw(t, "prompt"), Responses: make([]dataset.Response, 6), Chosen: 3, Source: records[0].Source}}
					for i := range records[0].Responses {
						records[0].Responses[i].Text = look().Draw(t, "reply")
					}
				}
				ext := rapid.SampledFrom(kinds).Draw(t, "container") + rapid.SampledFrom([]string{"", "", ".gz", ".zst"}).Draw(t, "compressed")
				plain, other := filepath.Join(dir, "plain.jsonl"), filepath.Join(dir, "other."+ext)
				if format == "csv" {
					plain = filepath.Join(dir, "plain.csv")
					if !strings.HasPrefix(ext, "tsv") {
						other = filepath.Join(dir, "other.csv")
					}
				}
				want, got := writeRecords(t, format, plain, records), writeRecords(t, format, other, records)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("losses (-JSON Lines +%s):\n%s", ext, diff)
				}
				one, two := meaningOf(plain, format), meaningOf(other, format)
				if diff := cmp.Diff(one, two, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
					data, _ := os.ReadFile(other)
					text, _ := os.ReadFile(plain)
					t.Fatalf("meaning (-JSON Lines +%s):\n%s\n%q\n%q", ext, diff, text, data)
				}
				if len(one.Errors) > 0 && format != "kto" {
					t.Fatalf("what was written cannot be read: %q", one.Errors)
				}
				if format == "pairs" && slices.ContainsFunc(records, func(r *dataset.Record) bool { return r.Pair != nil }) && len(one.Pairs) == 0 {
					t.Fatal("nothing was written")
				}
			})
		})
	}
}
