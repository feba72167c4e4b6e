package cli

import (
	"context"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
)

// splitJSON is one part of a conversion, of which there is one without --split.
type splitJSON struct {
	Name    string `json:"name,omitempty"`
	File    string `json:"file"`
	Records int    `json:"records"` // written
	Prompts int    `json:"prompts,omitempty"`
	// Strata are the records read, by stratum.
	Strata map[string]int `json:"strata,omitempty"`
}

type lossJSON struct {
	What    string `json:"what"`
	Records int    `json:"records"`
	First   string `json:"first"`
	Left    bool   `json:"left_out"`
}

type convertJSON struct {
	Records int         `json:"records"` // written, to all files
	Bad     int         `json:"bad"`     // left out by --skip-bad
	Files   []splitJSON `json:"files"`
	Losses  []lossJSON  `json:"losses"`
}

// converting is one output of cai convert.
type converting struct {
	splitJSON
	out  *output
	conv *dataset.Converter
}

// splitFlags are those of cai convert that make several files.
func splitFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "split", Usage: "write a file for each part, its name before OUT's ending, such as train=0.9,test=0.1: no prompt is in two of them (`SHARES`)"},
		&urfave.StringSliceFlag{Name: "stratify", Usage: "each part gets its share of every value of `COLUMN`; repeatable; default: subset and source, where there; none for no column"},
	}
}

// splitting deals records out by their prompts.
type splitting struct {
	shares  []dataset.Share
	columns []string
	named   bool // the user named the columns
	deal    *dataset.Splitter
	prompts []map[dataset.Hash]bool // of each part
}

// splitting reads the flags; it is nil without --split.
func (a *app) splitting(c *urfave.Context, name string) (*splitting, error) {
	s := &splitting{columns: c.StringSlice("stratify"), named: c.IsSet("stratify")}
	if !c.IsSet("split") {
		if s.named {
			return nil, usagef("--stratify belongs to --split")
		}
		return nil, nil
	}
	var err error
	if s.shares, err = dataset.ParseShares(c.String("split")); err != nil {
		return nil, hinted(usagef("--split: %v", err), "an example: --split train=0.9,test=0.1")
	}
	if name == "-" {
		return nil, hinted(usagef("--split makes several files, and stdout is one"), "name OUT, such as out.jsonl: its parts become out.%s.jsonl …", s.shares[0].Name)
	}
	if !s.named {
		s.columns = []string{"subset", "source"}
	}
	if len(s.columns) == 1 && s.columns[0] == "none" {
		s.columns, s.named = nil, false
	}
	s.deal = dataset.NewSplitter(s.shares, c.Int64("seed"))
	for range s.shares {
		s.prompts = append(s.prompts, map[dataset.Hash]bool{})
	}
	return s, nil
}

// stratum is the values of the record's columns.
func (s *splitting) stratum(r *dataset.Record) (_ string, known bool) {
	var values []string
	for _, col := range s.columns {
		raw := r.Object.Get(col)
		if text, ok := textColumn(r.Object, col); ok {
			raw = []byte(text)
		}
		known = known || raw != nil
		values = append(values, string(raw))
	}
	return strings.TrimRight(strings.Join(values, " / "), " /"), known
}

// count reads the input a first time.
func (s *splitting) count(ctx context.Context, in *inputs, p *progress) error {
	known := false
	n := int64(0)
	for r, err := range in.records() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		stratum, ok := s.stratum(r)
		known = known || ok
		s.deal.Count(dataset.SplitKey(r), stratum)
		if n++; n%256 == 0 {
			p.set(n, "counted")
		}
	}
	if s.named && !known {
		return hinted(fmt.Errorf("--stratify: no record has a column %s", strings.Join(s.columns, " or ")), "--stratify none takes all records as one")
	}
	s.deal.Deal()
	return nil
}

// part tells where a record goes.
func (s *splitting) part(r *dataset.Record, parts []*converting) (*converting, error) {
	if s == nil {
		return parts[0], nil
	}
	key := dataset.SplitKey(r)
	i, err := s.deal.Part(key)
	if err != nil {
		return nil, err
	}
	p := parts[i]
	if !s.prompts[i][key] {
		s.prompts[i][key] = true
		p.Prompts++
	}
	stratum, _ := s.stratum(r)
	p.Strata[stratum]++
	return p, nil
}

// open makes the outputs of a conversion.
func (a *app) openConverting(c *urfave.Context, name string, s *splitting, o dataset.ReadOptions) (parts []*converting, err error) {
	names := []splitJSON{{File: name}}
	if s != nil {
		names = nil
		for _, share := range s.shares {
			names = append(names, splitJSON{Name: share.Name, File: dataset.SplitName(name, share.Name), Strata: map[string]int{}})
		}
	}
	defer func() {
		if err != nil {
			closeConverting(parts)
		}
	}()
	for _, n := range names {
		p := &converting{splitJSON: n, out: &output{Writer: a.Out}}
		if n.File != "-" {
			f, err := dataset.Create(n.File)
			if err != nil {
				return parts, err
			}
			p.out = &output{Writer: f, file: f}
		}
		parts = append(parts, p)
		if p.conv, err = dataset.NewConverter(c.String("to"), n.File, p.out, o); err != nil {
			return parts, &exitError{code: ExitUsage, err: err}
		}
	}
	return parts, nil
}

func closeConverting(parts []*converting) {
	for _, p := range parts {
		p.out.close()
	}
}

// commitConverting ends all outputs and puts their files in place together.
func commitConverting(parts []*converting) error {
	var files []*dataset.File
	for _, p := range parts {
		if p.out.file != nil {
			files = append(files, p.out.file)
		}
	}
	return dataset.CommitAll(files...)
}
