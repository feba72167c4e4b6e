package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/store"
)

func (a *app) statusCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "status",
		Usage: "what is in the database, what is pending, what failed and why",
		Description: "Pending is what the principles in use, or those named by --principle, still lack in\n" +
			"both orders, for each judge that has judged pairs of a file, without what cai label\n" +
			"--adaptive has left out, which is saved. --json prints one object.\n" + exitHelp,
		Flags:  []urfave.Flag{principleFlag(), judgeFlag(), sourceFlag()},
		Action: a.runStatus,
	}
}

// progressJSON is how far one judge has come with one file.
type progressJSON struct {
	Source  string       `json:"source"`
	Judge   dataset.Hash `json:"judge"`
	Model   string       `json:"model"`
	Pairs   int64        `json:"pairs"`
	Wanted  int64        `json:"wanted"`
	Done    int64        `json:"done"`
	Failed  int64        `json:"failed"`
	Saved   int64        `json:"saved"` // left out by cai label --adaptive, at any risk
	Pending int64        `json:"pending"`
}

type statusJSON struct {
	store.Status
	Progress []progressJSON `json:"progress"`
	Pending  int64          `json:"pending"`
}

func (a *app) runStatus(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.NArg() > 0 {
		return usagef("status takes no file; --source FILE restricts it to the pairs of one")
	}
	_, ps, err := a.principles(c)
	if err != nil {
		return err
	}
	st, err := a.existingStore(c)
	if err != nil {
		return err
	}
	if err := checkSource(c, st); err != nil {
		return err
	}
	var out statusJSON
	if out.Status, err = st.Status(ctx); err != nil {
		return err
	}
	name := c.String("judge")
	judges := out.Judges[:0]
	for _, j := range out.Judges {
		if name == "" || strings.HasPrefix(j.Hash.String(), name) || j.Model == name {
			judges = append(judges, j)
		}
	}
	if out.Judges = judges; len(judges) == 0 && name != "" {
		return hinted(usagef("no judge %q in %s", name, c.String("db")), "cai status lists the judges")
	}
	if out.Progress, err = pending(ctx, st, out.Files, judges, ps, c.String("source")); err != nil {
		return err
	}
	for _, p := range out.Progress {
		out.Pending += p.Pending
	}
	if c.Bool("json") {
		return a.writeJSON(out)
	}
	a.printStatus(&out)
	return nil
}

// pending plans the job of each file and judge that have met.
func pending(ctx context.Context, st *store.Store, files []store.FileInfo, judges []store.JudgeInfo, ps []constitution.Principle, source string) ([]progressJSON, error) {
	job := dataset.Job{Orders: []dataset.Order{dataset.OrderAB, dataset.OrderBA}, Samples: 1}
	for i := range ps {
		job.Principles = append(job.Principles, ps[i].Hash())
	}
	job.Rule, job.Risk = dataset.RuleHash(settings{}.of(ps).Weights), 1
	out := []progressJSON{}
	for _, f := range files {
		if source != "" && f.Name != source {
			continue
		}
		for _, j := range judges {
			if j.Judgments+j.Failures == 0 {
				continue
			}
			job.Files, job.Judge = []int64{f.ID}, j.Hash
			p, err := st.Plan(ctx, job)
			if err != nil {
				return nil, err
			}
			if p.Done+p.Failed == 0 {
				continue
			}
			saved, err := st.Saved(ctx, job)
			if err != nil {
				return nil, err
			}
			out = append(out, progressJSON{
				f.Name, j.Hash, j.Model, p.Pairs, p.Wanted, p.Done, p.Failed, saved.Questions,
				p.Wanted - p.Done - p.Failed - saved.Questions,
			})
		}
	}
	return out, nil
}

func (a *app) printStatus(s *statusJSON) {
	fmt.Fprintf(a.Out, "%s: %s\n%d prompts, %d responses, %d pairs, %d judgments, %d critiques, %d revisions, %d failed\n",
		printable(s.Path), bytesText(s.Bytes), s.Prompts, s.Responses, s.Pairs, s.Judgments, s.Critiques, s.Revisions, s.Failed)
	if s.Grades > 0 {
		fmt.Fprintf(a.Out, "%d grades\n", s.Grades)
	}
	if s.Embeddings > 0 {
		fmt.Fprintf(a.Out, "%d embeddings\n", s.Embeddings)
	}
	for _, line := range doubtfulLines(&s.Status) {
		fmt.Fprintln(a.Out, line)
	}
	w := tabwriter.NewWriter(a.Out, 0, 8, 2, ' ', 0)
	if len(s.Judges) > 0 {
		fmt.Fprintln(w, "\nJUDGE\tMODEL\tMODE\tSHAPE\tJUDGMENTS\tPAIRS\tFAILED")
		for _, j := range s.Judges {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\n", shortID(j.Hash), printable(j.Model), j.Mode, shapeText(j.Template), j.Judgments, j.Pairs, j.Failures)
		}
	}
	if len(s.Files) > 0 {
		fmt.Fprintln(w, "\nFILE\tPAIRS\tRECORDS\tIMPORTED")
		for _, f := range s.Files {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", printable(f.Name), f.Pairs, f.Rows, f.Imported.Local().Format(time.DateTime))
		}
	}
	if len(s.Progress) > 0 {
		fmt.Fprintln(w, "\nFILE\tJUDGE\tMODEL\tWANTED\tDONE\tFAILED\tSAVED\tPENDING")
		for _, p := range s.Progress {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", printable(p.Source), shortID(p.Judge), printable(p.Model), p.Wanted, p.Done, p.Failed, p.Saved, p.Pending)
		}
	}
	if len(s.Failures) > 0 {
		fmt.Fprintln(w, "\nFAILED\tMODEL\tWHY\tEXAMPLE")
		for _, f := range s.Failures {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", f.Count, printable(f.Model), printable(f.Kind), clip(f.Example))
		}
	}
	if len(s.Runs) > 0 {
		fmt.Fprintln(w, "\nRUN\tSTARTED\tTOOK")
		for _, r := range s.Runs {
			took := "not finished: runs still, or was killed"
			if r.Finished != nil {
				took = duration(r.Finished.Sub(r.Started))
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", printable(r.Command), r.Started.Local().Format(time.DateTime), took)
		}
	}
	w.Flush()
}

// doubtfulLines says of what an older version stored how much cannot be used, and
// how it is asked again.
func doubtfulLines(s *store.Status) (lines []string) {
	const told = "of %d %s were stored by an older version from answers that tell nothing"
	for _, k := range []struct {
		n, all  int64
		what    string
		follows string
	}{
		{s.Doubtful.Judgments, s.Judgments, "judgments", "labels abstain on them; cai label --retry-failed, or cai debate, asks them again"},
		{s.Doubtful.Critiques, s.Critiques, "critiques", "cai critique --retry-failed asks them again"},
		{s.Doubtful.Revisions, s.Revisions, "revisions", "exports leave them out; cai revise --retry-failed asks them again"},
		{s.Doubtful.Grades, s.Grades, "grades", "they have no coverage; cai grade --retry-failed asks them again"},
		{s.Doubtful.Responses, s.Responses, "replies", "revisions wrote a model's thoughts into them"},
		{s.Doubtful.Answers, s.Answers, "kept answers", "sample, critique and revise ask them again with --retry-failed"},
	} {
		if k.n > 0 {
			lines = append(lines, fmt.Sprintf("%d "+told+": %s", k.n, k.all, k.what, k.follows))
		}
	}
	return lines
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d kB", (n+1023)/1024)
}
