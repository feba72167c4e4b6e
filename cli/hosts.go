package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/label"
	"cai/llm"
)

// defaultPatience lets a server be updated and started again, and an overnight
// hiccup pass.
const defaultPatience = 30 * time.Minute

// spreadFlags are the options of a command that spreads its questions over
// hosts.
func spreadFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "jobs", Value: "auto", Usage: "pairs worked on at once on each host: `N`, or auto, which tries what is fastest"},
		&urfave.BoolFlag{Name: "allow-mixed", Usage: "take hosts that have different weights under the model's name; the judge is then their mixture"},
		&urfave.DurationFlag{Name: "patience", Value: defaultPatience, Usage: "how long to wait, and mark nothing as failed, while no host answers (`TIME`)"},
		eventsFlag(),
	}
}

// jobs reads --jobs; 0 is auto.
func jobs(c *urfave.Context) (int, error) {
	s := c.String("jobs")
	if s == "auto" || s == "0" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, usagef("--jobs %q: use a number from 1 on, or auto", s)
	}
	return n, nil
}

// fleet is the hosts of one model.
type fleet struct {
	clients []*llm.Client
	tuners  []*label.Tuner // by client; they know the hosts from round to round
	away    []error        // why a host is not there, by client
}

// fleet asks each host that --host names which weights it has. They must be the
// same; with --allow-mixed the model's identity becomes that of their mixture.
func (a *app) fleet(c *urfave.Context, m *model) (*fleet, error) {
	f := &fleet{clients: m.Hosts()}
	n, err := jobs(c)
	if err != nil {
		return nil, err
	}
	for range f.clients {
		f.tuners = append(f.tuners, label.NewTuner(n))
	}
	f.away = make([]error, len(f.clients))
	if len(f.clients) == 1 {
		f.clients[0].Expect(m.id.Digest)
		return f, nil
	}
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	digests := make([]string, len(f.clients))
	for i, h := range f.clients {
		id, err := h.Identify(ctx)
		switch {
		case llm.KindOf(err) == llm.KindServerAbsent && !c.Bool("allow-mixed"):
			f.away[i] = err
			digests[i] = m.id.Digest
		case err != nil:
			return nil, err
		default:
			digests[i] = id.Digest
		}
		h.Expect(digests[i])
	}
	different := slices.Compact(slices.Sorted(slices.Values(digests)))
	if len(different) == 1 {
		return f, nil
	}
	if !c.Bool("allow-mixed") {
		var says []string
		for i, h := range f.clients {
			if f.away[i] == nil {
				says = append(says, h.Host()+" "+short(digests[i]))
			}
		}
		return nil, hinted(fmt.Errorf("the hosts have different weights under the name %s: %s", m.Model(), strings.Join(says, ", ")),
			"pull the same model on each, or use --allow-mixed")
	}
	for i := range different {
		different[i] = short(different[i])
	}
	m.id.Digest = "mixed:" + strings.Join(different, "+")
	a.note(c, "the hosts have different weights: the judge is a mixture of them, and its judgments stand apart")
	return f, nil
}

func short(digest string) string {
	if digest == "" {
		return "unknown"
	}
	return digest[:min(12, len(digest))]
}

// hosts makes a judge of each host.
func (f *fleet) hosts(judgeOf func(llm.Chatter) (asker, error)) ([]label.Host, error) {
	var out []label.Host
	for i, client := range f.clients {
		j, err := judgeOf(client)
		if err != nil {
			return nil, err
		}
		out = append(out, label.Host{
			Name: client.Host(), Judge: j, Check: client.Check, Away: f.away[i], Forget: client.Forget,
			Tune: f.tuners[i],
		})
	}
	return out, nil
}

// onHost says what happens to a host.
func (a *app) onHost(c *urfave.Context, e label.Event) {
	switch e.Kind {
	case label.HostAway:
		a.note(c, "%s is left alone until it is back: %v", e.Host, bare(e.Err))
	case label.HostBack:
		a.note(c, "%s is back", e.Host)
	case label.HostLeft:
		a.warn("%s is not used any more: %v", e.Host, bare(e.Err))
	case label.HostGroups:
		if c.Bool("verbose") {
			a.note(c, "%s: %d pairs at once", e.Host, e.Groups)
		}
	}
}

// bare gives an error without the host's name, which the line has already.
func bare(err error) error {
	if e, ok := errors.AsType[*llm.Error](err); ok && e.Err != nil && !errors.Is(err, context.Canceled) {
		return e.Err
	}
	return err
}
