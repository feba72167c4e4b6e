// Command audit makes preference pairs of the labels of AlpacaEval: a model's
// reply against the baseline's, with the annotator's verdict. The longer reply
// wins most of them, so a model that is trained on them is one that an audit has
// to catch.
//
//	go run ./bench/audit [-baseline NAME] [-annotator NAME] [-models N] [-lists FILE] alpaca_responses.jsonl.gz > pairs.jsonl
//
// With -lists the pairs are those of half of the prompts, and FILE gets the replies
// to the others, a line for each prompt, with the same annotator's verdicts as
// golds: what a model of the pairs can be optimised on that it has not seen.
package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

type record struct {
	Prompt    string            `json:"prompt"`
	Outputs   map[string]string `json:"baseline_outputs"`
	Responses []reply           `json:"responses"`
}

type reply struct {
	Model, Text, Baseline, Annotator string
	Preference                       float64 // 1 for the baseline to 2 for the model
}

func main() {
	baseline := flag.String("baseline", "gpt4_1106_preview", "whose replies the others are held against")
	annotator := flag.String("annotator", "weighted_alpaca_eval_gpt4_turbo", "whose verdicts; \"all\" for any")
	models := flag.Int("models", 40, "how many models' replies are taken, in the order of their names; 0 for all")
	lists := flag.String("lists", "", "write the replies to every other prompt to this `file`, with golds, and leave them out of the pairs")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: audit [options] alpaca_responses.jsonl.gz")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *baseline, *annotator, *models, *lists); err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
}

func run(file, baseline, annotator string, models int, lists string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return err
		}
	}
	d := json.NewDecoder(r)
	var all []record
	seen := map[string]bool{}
	for {
		var one record
		if err := d.Decode(&one); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		all = append(all, one)
		for _, p := range one.Responses {
			if p.Baseline == baseline && (annotator == "all" || p.Annotator == annotator) {
				seen[p.Model] = true
			}
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	if models > 0 && len(names) > models {
		names = names[:models]
	}
	if lists != "" {
		if all, err = split(all, lists, func(p reply) bool {
			return p.Baseline == baseline && (annotator == "all" || p.Annotator == annotator) && slices.Contains(names, p.Model)
		}); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(os.Stdout)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	n, longer := 0, 0
	for _, one := range all {
		other := one.Outputs[baseline]
		for _, p := range one.Responses {
			if p.Baseline != baseline || annotator != "all" && p.Annotator != annotator || !slices.Contains(names, p.Model) ||
				p.Preference == 1.5 || p.Preference < 1 || p.Preference > 2 || p.Text == other || strings.TrimSpace(p.Text) == "" {
				continue
			}
			line := map[string]string{"prompt": one.Prompt, "chosen": p.Text, "rejected": other, "chosen_model": p.Model, "rejected_model": baseline}
			if p.Preference < 1.5 {
				line["chosen"], line["rejected"], line["chosen_model"], line["rejected_model"] = other, p.Text, baseline, p.Model
			}
			if utf8.RuneCountInString(line["chosen"]) > utf8.RuneCountInString(line["rejected"]) {
				longer++
			}
			n++
			if err := e.Encode(line); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%d pairs of %d models; the longer reply was chosen in %.3f\n", n, len(names), float64(longer)/float64(n))
	return out.Flush()
}

// split keeps every other record and writes the replies of the rest to a file, each
// once.
func split(all []record, file string, wanted func(reply) bool) (kept []record, err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriter(f)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i, one := range all {
		if i%2 == 0 {
			kept = append(kept, one)
			continue
		}
		line := struct {
			Prompt    string    `json:"prompt"`
			Responses []string  `json:"responses"`
			Gold      []float64 `json:"gold"`
		}{Prompt: one.Prompt}
		for _, p := range one.Responses {
			if wanted(p) && !slices.Contains(line.Responses, p.Text) {
				line.Responses, line.Gold = append(line.Responses, p.Text), append(line.Gold, p.Preference)
			}
		}
		if len(line.Responses) < 2 {
			continue
		}
		if err := e.Encode(line); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return kept, errors.Join(w.Flush(), f.Close())
}
