package dataset_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// outcome is what reading a file came to: the pairs by their prompts, an error that
// ended it, the reasons of records that were left out, and what was said.
type outcome struct {
	pairs map[string]*dataset.Pair
	ended error
	bad   map[int]string // by line
	told  []dataset.Told
}

func readAll(text string, o dataset.ReadOptions) outcome {
	out := outcome{pairs: map[string]*dataset.Pair{}, bad: map[int]string{}}
	o.Stdin = strings.NewReader(text)
	o.Told = func(t dataset.Told) { out.told = append(out.told, t) }
	for p, err := range dataset.Pairs("-", o) {
		var bad *dataset.RecordError
		switch {
		case errors.As(err, &bad):
			out.bad[bad.Line] = bad.Reason
		case err != nil:
			out.ended = err
		default:
			out.pairs[p.Prompt[len(p.Prompt)-1].Content] = p
		}
	}
	return out
}

func (o *outcome) undecided() bool {
	var e *dataset.UndecidedError
	return errors.As(o.ended, &e)
}

// cell is a value on its way into a file, by its JSON.
type cell struct{ key, json string }

// asLines writes records as JSON Lines; with texts, numbers and booleans are texts, as
// in a cell of CSV.
func asLines(records [][]cell, texts bool) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteByte('{')
		for i, c := range r {
			if i > 0 {
				b.WriteByte(',')
			}
			value := c.json
			if texts && value[0] != '"' && value != "null" {
				raw, _ := json.Marshal(value)
				value = string(raw)
			}
			fmt.Fprintf(&b, "%q:%s", c.key, value)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// asCSV writes records that have the same columns.
func asCSV(records [][]cell) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	var head []string
	for _, c := range records[0] {
		head = append(head, c.key)
	}
	w.Write(head)
	for _, r := range records {
		var row []string
		for _, c := range r {
			text := c.json
			if text == "null" {
				text = ""
			}
			json.Unmarshal([]byte(c.json), &text)
			row = append(row, text)
		}
		w.Write(row)
	}
	w.Flush()
	return b.String()
}

// container draws how a file holds its records.
func containerOf(t *rapid.T, records [][]cell) (text, format string) {
	switch rapid.IntRange(0, 2).Draw(t, "container") {
	case 0:
		return asLines(records, false), "jsonl"
	case 1:
		return asLines(records, true), "jsonl"
	}
	return asCSV(records), "csv"
}

// alphabet is a way to say which of two replies is better.
type alphabet struct {
	first, second, tie string // as JSON; tie may be empty
	// certain tells that values of both sides can mean nothing else.
	certain bool
	columns []string // where it may stand; nil for any
	replies []string // the replies that it needs; nil for any that do not count from 0
}

var alphabets = []alphabet{
	{first: `1`, second: `2`, certain: true},
	{first: `"1"`, second: `"2.0"`, tie: `"tie"`, certain: true},
	{first: `"A"`, second: `"B"`, tie: `"tie"`, certain: true},
	{first: `"model_a"`, second: `"model_b"`, tie: `"tie (bothbad)"`, certain: true},
	{first: `"First"`, second: `"second"`, tie: `"draw"`, certain: true},
	{first: `"response_1"`, second: `"response_2"`, tie: `"both_bad"`, certain: true, replies: []string{"response_1", "response_2"}},
	{first: `"[[A]]"`, second: `"[[B]]"`, certain: true},
	{first: `"A>B"`, second: `"B>A"`, tie: `"A=B"`, certain: true},
	{first: `0`, second: `1`, certain: true, replies: []string{"response_0", "response_1"}},
	{first: `0`, second: `1`, certain: true, replies: []string{"answer_0", "answer_1"}},
	{first: `"response_0"`, second: `"response_1"`, certain: true, replies: []string{"response_0", "response_1"}},
	{first: `"model_0"`, second: `"model_1"`, tie: `"tie"`, certain: true},
	{first: `-2`, second: `3`, tie: `0`, certain: true, columns: []string{"overall_preference"}, replies: []string{"response1", "response2"}},
	{first: `-1`, second: `1`, tie: `0`, certain: true, columns: []string{"preference_strength"}, replies: []string{"response_1", "response_2"}},
	{first: `true`, second: `false`, certain: true, columns: []string{"first_wins", "a_wins", "is_a_better", "model_a_wins"}},
	{first: `0`, second: `1`, certain: true, columns: []string{"b_wins", "second_is_better"}},
	{first: `0`, second: `1`},
	{first: `1`, second: `0`},
	{first: `"0"`, second: `"1"`},
	{first: `0`, second: `1`, tie: `2`},
	{first: `1`, second: `2`, tie: `0`},
	{first: `1`, second: `2`, tie: `3`},
	{first: `-1`, second: `1`, tie: `0`},
	{first: `1`, second: `-1`, tie: `0`},
	{first: `-3`, second: `2`, tie: `0`},
	{first: `3`, second: `-2`, tie: `0`},
	{first: `true`, second: `false`},
	{first: `"False"`, second: `"True"`},
	{first: `5`, second: `1`, tie: `3`},
	{first: `0.25`, second: `0.75`},
	{first: `1`, second: `2`, replies: []string{"response_0", "response_1"}},
}

var genericLabels = []string{"label", "winner", "preference", "choice", "preferred"}

// labelledFile draws a file whose labels are in the alphabet, with what they mean.
func labelledFile(t *rapid.T, a alphabet, n int) (records [][]cell, want []float64) {
	replies, columns := a.replies, a.columns
	if replies == nil {
		replies = rapid.SampledFrom([][]string{{"response_a", "response_b"}, {"response_1", "response_2"}, {"response1", "response2"}, {"answer_a", "answer_b"}, {"completion_1", "completion_2"}}).Draw(t, "replies")
	}
	if columns == nil {
		columns = genericLabels
	}
	column := rapid.SampledFrom(columns).Draw(t, "column")
	for i := range n {
		k := rapid.IntRange(0, 2).Draw(t, "label")
		value, p := a.first, 1.0
		switch {
		case k == 1:
			value, p = a.second, 0
		case k == 2 && a.tie != "":
			value, p = a.tie, 0.5
		case k == 2:
			value, p = "null", math.NaN()
		}
		r := []cell{
			{"prompt", strconv.Quote(fmt.Sprint("p", i))},
			{replies[0], strconv.Quote(fmt.Sprint("x", i))},
			{replies[1], strconv.Quote(fmt.Sprint("y", i))},
			{column, value},
		}
		records, want = append(records, r), append(want, p)
	}
	return records, want
}

// userScale says in words what the alphabet means.
func userScale(t *rapid.T, a alphabet) dataset.Scales {
	items := []string{name(a.first) + "=first", name(a.second) + "=second"}
	if a.tie != "" {
		items = append(items, name(a.tie)+"=tie")
	}
	s, err := dataset.ParseScales([]string{strings.Join(items, ",")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func name(raw string) string {
	if s, err := strconv.Unquote(raw); err == nil {
		return s
	}
	return raw
}

// TestLabelsAreReadRightOrRefused: whatever the numbers, names and order of the rows,
// no label is ever turned or made a tie; what can mean two things is refused; and with
// a scale everything is read.
func TestLabelsAreReadRightOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(alphabets).Draw(t, "alphabet")
		records, want := labelledFile(t, a, rapid.IntRange(1, 8).Draw(t, "rows"))
		if !a.certain && a.replies == nil && !slices.ContainsFunc(records, func(r []cell) bool { return !slices.Contains([]string{"1", "2", "null"}, r[3].json) }) {
			return // 1 and 2 alone are the first and the second
		}
		if a.replies != nil && a.second == "2" && !slices.Contains(want, 0) {
			return // as above, under names that count from 0
		}
		text, format := containerOf(t, records)
		if rapid.Bool().Draw(t, "named") && format == "jsonl" {
			format = "pairs"
		}
		check := func(got outcome, all bool) {
			if all && (got.ended != nil || len(got.bad) > 0) {
				t.Fatalf("%v, %v in\n%s", got.ended, got.bad, text)
			}
			for i, p := range want {
				q := got.pairs[fmt.Sprint("p", i)]
				if q == nil {
					if all {
						t.Fatalf("record %d is missing in\n%s", i, text)
					}
					continue
				}
				if q.P != p && !(math.IsNaN(q.P) && math.IsNaN(p)) {
					t.Fatalf("record %d is read as %v, and means %v, in\n%s", i, q.P, p, text)
				}
			}
		}
		got := readAll(text, dataset.ReadOptions{Format: format})
		both := slices.Contains(want, 1) && slices.Contains(want, 0)
		none := !slices.ContainsFunc(want, func(p float64) bool { return !math.IsNaN(p) })
		check(got, a.certain && both || none)
		if !a.certain && !none && !got.undecided() {
			t.Fatalf("not refused: %v, %v in\n%s", got.ended, got.bad, text)
		}
		if got.ended != nil && !got.undecided() {
			t.Fatalf("%v", got.ended)
		}
		check(readAll(text, dataset.ReadOptions{Format: format, Scales: userScale(t, a)}), true)
	})
}

// TestRefusalsNameWhatToType: each of the scales that a refusal offers is taken, and
// no two of them read the file alike.
func TestRefusalsNameWhatToType(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(alphabets).Draw(t, "alphabet")
		records, _ := labelledFile(t, a, rapid.IntRange(2, 8).Draw(t, "rows"))
		text, format := containerOf(t, records)
		var e *dataset.UndecidedError
		if got := readAll(text, dataset.ReadOptions{Format: format}); !errors.As(got.ended, &e) {
			return
		}
		seen := map[string]bool{}
		for _, items := range e.Scales {
			if strings.Contains(items, "…") {
				continue // numbers of which nothing is known
			}
			s, err := dataset.ParseScales([]string{items})
			if err != nil {
				t.Fatal(err)
			}
			got := readAll(text, dataset.ReadOptions{Format: format, Scales: s})
			if got.ended != nil || len(got.bad) > 0 {
				t.Fatalf("--scale %s: %v, %v in\n%s", items, got.ended, got.bad, text)
			}
			var all []string
			for i := range records {
				all = append(all, fmt.Sprint(got.pairs[fmt.Sprint("p", i)].P))
			}
			numbers := map[string]bool{}
			for _, r := range records {
				if _, err := strconv.ParseFloat(name(r[3].json), 64); err == nil {
					numbers[name(r[3].json)] = true
				}
			}
			if key := strings.Join(all, " "); seen[key] && len(numbers) > 1 {
				t.Fatalf("two of %q read the file alike:\n%s", e.Scales, text)
			} else {
				seen[key] = true
			}
		}
		if len(e.Scales)+len(e.Columns) == 0 {
			t.Fatalf("nothing to type: %v", e)
		}
	})
}

// TestOrderOfRowsNeverChangesAMeaning: a record of a file that is shuffled, beyond the
// records that are looked at first, too, is read as before, or it is an error.
func TestOrderOfRowsNeverChangesAMeaning(t *testing.T) {
	values := []string{`0`, `1`, `2`, `3`, `-1`, `1.5`, `"a"`, `"tie"`, `"model_1"`, `"model_0"`, `true`, `"good"`, `null`, `"response_2"`}
	rapid.Check(t, func(t *rapid.T) {
		common := rapid.SliceOfN(rapid.SampledFrom(values), 1, 2).Draw(t, "common")
		rare := rapid.SliceOfN(rapid.SampledFrom(values), 0, 2).Draw(t, "rare")
		column := rapid.SampledFrom([]string{"label", "preference", "annotators", "labels", "overall_preference", "tie", "first_wins", "winner_model_a", "choice"}).Draw(t, "column")
		replies := rapid.SampledFrom([][3]string{{"prompt", "response_1", "response_2"}, {"instruction", "output_1", "output_2"}, {"input", "output_1", "output_2"}, {"prompt", "response_0", "response_1"}, {"prompt", "response1", "response2"}, {"prompt", "chosen", "rejected"}}).Draw(t, "replies")
		n := rapid.SampledFrom([]int{4, 5, 6, 700}).Draw(t, "rows")
		var records [][]cell
		for i := range n {
			value := common[i%len(common)]
			if i >= n-len(rare) {
				value = rare[n-1-i]
			}
			if column == "annotators" || column == "labels" {
				value = "[" + value + "]"
			}
			r := []cell{{replies[0], strconv.Quote(fmt.Sprint("p", i))}, {replies[1], strconv.Quote(fmt.Sprint("x", i))}, {replies[2], strconv.Quote(fmt.Sprint("y", i))}}
			if value != "null" || i%2 == 0 {
				r = append(r, cell{column, value})
			}
			records = append(records, r)
		}
		before := readAll(asLines(records, false), dataset.ReadOptions{})
		// Rows to the front: those that decide.
		shift := rapid.IntRange(0, n).Draw(t, "shift")
		after := readAll(asLines(append(records[shift:len(records):len(records)], records[:shift]...), false), dataset.ReadOptions{})
		for key, p := range before.pairs {
			if q := after.pairs[key]; q != nil && q.P != p.P && !(math.IsNaN(q.P) && math.IsNaN(p.P)) {
				t.Fatalf("%s is read as %v and, with the rows from %d on in front, as %v; values %v, at last %v", key, p.P, shift, q.P, common, rare)
			}
		}
	})
}

// TestPromptColumnsAreReadOrNamed: no column that may belong to the prompt is passed
// over in silence.
func TestPromptColumnsAreReadOrNamed(t *testing.T) {
	columns := []string{"prompt", "question", "query", "instruction", "system", "system_prompt", "history", "context", "input", "conversations", "messages", "documents", "tools", "post", "passage"}
	rapid.Check(t, func(t *rapid.T) {
		var record []cell
		marks := map[string]string{}
		for i, key := range rapid.Permutation(columns).Draw(t, "columns")[:rapid.IntRange(0, 5).Draw(t, "n")] {
			mark := fmt.Sprintf("mark%dx", i)
			value := strconv.Quote("Say " + mark + " now")
			switch {
			case key == "history" && rapid.Bool().Draw(t, "rounds"):
				value = fmt.Sprintf(`[["Say %s now","Yes."]]`, mark)
			case key == "messages" || key == "conversations":
				value = fmt.Sprintf(`[{"from":"Human","value":"Say %s now"}]`, mark)
			}
			marks[key] = mark
			record = append(record, cell{key, value})
		}
		sides := rapid.SampledFrom([][2]cell{
			{{"chosen", `"The sea is blue."`}, {"rejected", `"The sea is red."`}},
			{{"chosen", `"Yes."`}, {"rejected", `"No."`}},
			{{"response_a", `"Yes."`}, {"response_b", `"No."`}},
			{{"chosen", `{"role":"assistant","content":"Yes."}`}, {"rejected", `{"role":"assistant","content":"No."}`}},
		}).Draw(t, "replies")
		record = append(record, sides[:]...)
		text := asLines([][]cell{record}, false)
		got := readAll(text, dataset.ReadOptions{})
		said := fmt.Sprint(got.ended, got.bad)
		for _, told := range got.told {
			said += " " + told.Column + " " + told.Text
		}
		for _, p := range got.pairs {
			for _, m := range p.Prompt {
				said += " " + m.Content
			}
		}
		for key, mark := range marks {
			if !strings.Contains(said, mark) && !strings.Contains(said, key) {
				t.Fatalf("%s is neither read nor named in %q:\n%s", key, said, text)
			}
		}
		if len(got.pairs) > 0 && len(marks) == 0 && !strings.HasPrefix(sides[0].json, `"The`) {
			t.Fatalf("a prompt out of nothing: %v", got.pairs)
		}
	})
}

// TestRenamedColumns: a file with other names, and the names given, is read as the file
// itself.
func TestRenamedColumns(t *testing.T) {
	formats := slices.DeleteFunc(slices.Clone(hold), func(f string) bool { return f == "kto" || f == "csv" })
	rapid.Check(t, func(t *rapid.T) {
		format := rapid.SampledFrom(formats).Draw(t, "format")
		pair := &dataset.Pair{
			Prompt: conversation().Draw(t, "prompt"),
			First:  dataset.Response{Text: text().Draw(t, "first"), Author: "m1"},
			Second: dataset.Response{Text: text().Draw(t, "second"), Author: "m2"},
			P:      rapid.SampledFrom([]float64{0, 1, 0.75}).Draw(t, "p"),
			Source: dataset.Source{File: "f", Line: 1},
		}
		data, _ := convertPairs(t, format, "x.jsonl", pair)
		if len(data) == 0 {
			return // the format cannot hold it
		}
		var o, renamed dataset.Object
		if err := o.UnmarshalJSON(data); err != nil {
			t.Fatal(err)
		}
		var items []string
		known := dataset.ColumnNames()
		for _, f := range o {
			key := f.Key
			if key == "label" && o.Get("label_prob") != nil {
				// A label that is named is the only one.
			} else if slices.Contains(known, key) && rapid.Bool().Draw(t, key) {
				key = "of " + key
				items = append(items, f.Key+"="+key)
			}
			renamed = append(renamed, dataset.Field{Key: key, Value: f.Value})
		}
		columns, err := dataset.ParseColumns(items)
		if err != nil {
			t.Fatal(err)
		}
		again, err := renamed.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		name := rapid.SampledFrom([]string{"", format}).Draw(t, "named")
		want := pairs(string(data), dataset.ReadOptions{Format: name})
		if got := pairs(string(again), dataset.ReadOptions{Format: name, Columns: columns}); !cmp.Equal(want, got) {
			t.Fatalf("%s\nwith %q\n got %q\nwant %q", again, items, got, want)
		}
	})
}

// TestMessagesInTexts: messages whose JSON stands in texts are read as messages, and a
// text that is the JSON of messages by chance stays a text where others are none.
func TestMessagesInTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "rows")
		repeat, object := rapid.Bool().Draw(t, "repeat"), rapid.Bool().Draw(t, "object")
		columns := rapid.SampledFrom([][2]string{{"chosen", "rejected"}, {"response_a", "response_b"}}).Draw(t, "columns")
		roles := rapid.SampledFrom([][4]string{{"role", "content", "user", "assistant"}, {"from", "value", "Human", "GPT"}, {"from", "value", "human", "gpt"}, {"role", "content", "User", "Assistant"}}).Draw(t, "roles")
		var asJSON, asText [][]cell
		message := func(role, text string) string {
			raw, _ := json.Marshal(text)
			return fmt.Sprintf(`{%q:%q,%q:%s}`, roles[0], role, roles[1], raw)
		}
		for i := range n {
			user := message(roles[2], fmt.Sprint("p", i))
			row := []cell{{"prompt", "[" + user + "]"}}
			for _, c := range columns {
				value := message(roles[3], text().Draw(t, c))
				switch {
				case repeat:
					value = "[" + user + "," + value + "]"
				case !object:
					value = "[" + value + "]"
				}
				row = append(row, cell{c, value})
			}
			asJSON = append(asJSON, row)
			asText = append(asText, quoted(row))
		}
		want := pairs(asLines(asJSON, false), dataset.ReadOptions{})
		if got := pairs(asLines(asText, false), dataset.ReadOptions{}); !cmp.Equal(want, got) {
			t.Fatalf("%s\n got %q\nwant %q", asLines(asText, false), got, want)
		}
		// One ordinary text among them makes all of them texts.
		asText = append(asText, []cell{{"prompt", `"q"`}, {columns[0], `"one"`}, {columns[1], `"two"`}})
		at := rapid.IntRange(0, n).Draw(t, "at")
		asText[at], asText[n] = asText[n], asText[at]
		got := readAll(asLines(asText, false), dataset.ReadOptions{})
		for _, row := range asText {
			var p, x string
			json.Unmarshal([]byte(row[0].json), &p)
			json.Unmarshal([]byte(row[1].json), &x)
			if p != "q" {
				p = p[strings.LastIndex(p, `"p`)+1 : len(p)-3]
			}
			if q := got.pairs[p]; q == nil || q.First.Text != x {
				t.Fatalf("%s: %v, %v in %s", p, q, got, asLines(asText, false))
			}
		}
	})
}

// quoted writes all values as texts.
func quoted(row []cell) (out []cell) {
	for _, c := range row {
		raw, _ := json.Marshal(c.json)
		out = append(out, cell{c.key, string(raw)})
	}
	return out
}

// TestTextsMeanWhatValuesMean: a number, a boolean, a list or messages mean the same
// where they stand in a text, as in a cell of CSV.
func TestTextsMeanWhatValuesMean(t *testing.T) {
	scalars := []string{`0`, `1`, `2`, `-1`, `0.5`, `1.5`, `true`, `false`, `null`, `"a"`, `"B"`, `"tie"`, `"x0"`, `"good"`, `"1"`, `"True"`}
	lists := []string{`["a","b"]`, `[1,2,0]`, `[1,null]`, `["tie"]`, `[]`, `[0,1]`}
	shapes := [][]cell{
		{{"chosen", `"x0"`}, {"rejected", `"y0"`}},
		{{"response_a", `"x0"`}, {"response_b", `"y0"`}},
		{{"response_0", `"x0"`}, {"response_1", `"y0"`}},
		{{"output_1", `"x0"`}, {"output_2", `"y0"`}},
		{{"responses", `["x0",{"text":"y0","model":"m"},"z0"]`}},
		{{"completion", `"x0"`}},
		{{"completions", `[{"rank":1,"completion":[{"role":"assistant","content":"x"}]},{"rank":0,"completion":[{"role":"assistant","content":"y"}]}]`}, {"context", `[{"role":"user","content":"c"}]`}},
		{{"targets", `{"choices":["x","y"],"labels":[1,0]}`}, {"input", `"i"`}},
		{{"conversation_a", `[{"role":"user","content":"p"},{"role":"assistant","content":"x"}]`}, {"conversation_b", `[{"role":"user","content":"p"},{"role":"assistant","content":"y"}]`}},
		{{"chosen", `[{"role":"user","content":"p"},{"role":"assistant","content":"x"}]`}, {"rejected", `[{"role":"user","content":"p"},{"role":"assistant","content":"y"}]`}, {"score_chosen", `2`}, {"score_rejected", `2`}},
		{{"summaries", `[{"text":"x"},{"text":"y"}]`}, {"info", `{"post":"p"}`}, {"choice", `1`}},
		{{"conversations", `[{"from":"Human","value":"p"}]`}, {"chosen", `{"from":"GPT","value":"x"}`}, {"rejected", `{"from":"GPT","value":"y"}`}},
	}
	columns := map[string][]string{
		"label": scalars, "winner": scalars, "preference": scalars, "tie": scalars, "first_wins": scalars, "overall_preference": scalars,
		"label_prob": {`0.25`, `1`, `null`, `0`}, "margin": {`2`, `-0.5`}, "labels": lists, "annotators": lists, "annotator1": {`1`, `2`, `0`},
		"ranks": {`[1,2,3]`, `[2,1,1]`, `["a"]`}, "history": {`[["u","a"]]`, `[]`, `"text"`}, "score_chosen": {`1`, `2`}, "kto_tag": {`true`},
	}
	keys := slices.Sorted(func(yield func(string) bool) {
		for k := range columns {
			if !yield(k) {
				return
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SampledFrom(shapes).Draw(t, "shape")
		chosen := rapid.Permutation(keys).Draw(t, "columns")[:rapid.IntRange(0, 3).Draw(t, "n")]
		var records [][]cell
		for i := range rapid.IntRange(1, 4).Draw(t, "rows") {
			r := slices.Clone(shape)
			if !slices.ContainsFunc(shape, func(c cell) bool { return strings.HasPrefix(c.key, "con") }) {
				r = append([]cell{{"prompt", strconv.Quote(fmt.Sprint("p", i))}}, r...)
			}
			for _, k := range chosen {
				if !slices.ContainsFunc(shape, func(c cell) bool { return c.key == k }) {
					r = append(r, cell{k, rapid.SampledFrom(columns[k]).Draw(t, k)})
				}
			}
			records = append(records, r)
		}
		read := func(text, format string) (out []string) {
			o := dataset.ReadOptions{Format: format, Stdin: strings.NewReader(text)}
			for p, err := range dataset.Pairs("-", o) {
				if err != nil {
					reason := err.Error()
					var bad *dataset.RecordError
					if errors.As(err, &bad) {
						reason = bad.Reason
					}
					for _, quote := range []string{`"`, `\`} {
						reason = strings.ReplaceAll(reason, quote, "")
					}
					out = append(out, reason)
					continue
				}
				p.Source = dataset.Source{}
				out = append(out, fmt.Sprintf("%s %v", show(p), p.Votes))
			}
			return out
		}
		want := read(asLines(records, false), "jsonl")
		for name, got := range map[string][]string{"texts": read(asLines(records, true), "jsonl"), "CSV": read(asCSV(records), "csv")} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s (-values +%s):\n%s\n%s", name, name, diff, asLines(records, false))
			}
		}
	})
}
