package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// openLabels decides what it can of the label columns, and tells whether anything is
// still open.
func (g *reading) openLabels(final bool) (bool, error) {
	if err := g.twoPreferences(); err != nil {
		return false, err
	}
	if err := g.applyScale(); err != nil {
		return false, err
	}
	if better, worse := g.labels["chosen"], g.labels["rejected"]; better != nil && worse != nil {
		for _, v := range worse.seen { // they point at the same two replies
			better.see(v)
		}
		defer func() { worse.scale, worse.settled, worse.unused = better.scale, better.settled, better.unused }()
	}
	var refused []*labelColumn
	var first *UndecidedError
	open, certain := false, g.labels["label_prob"] != nil
	for _, name := range sortedNames(g.labels) {
		c := g.labels[name]
		switch d := c.decision(g, final); {
		case c.kind == labelProb || c.kind == labelWorse && g.labels["chosen"] != nil:
		case d.scale != nil:
			if c.scale == nil {
				c.scale, c.settled = d.scale, d.settled
				g.state(c)
			}
			certain = certain || c.side != '='
		case d.unused != "":
			if c.unused = d.unused; d.unused != saysNothing && d.unused != noFlag {
				g.note(ToldWarning, "", fmt.Sprintf("%s is not used: %s", c.name, d.unused))
			}
		case d.refused != nil:
			if refused = append(refused, c); first == nil {
				first = d.refused
			}
		default:
			open = true
		}
	}
	if first != nil && !certain {
		return false, first
	}
	for _, c := range refused {
		c.unused = saysNothing
		g.note(ToldWarning, "", fmt.Sprintf("%s is not used: what %s mean would have to be said, and another column tells which reply is better", c.name, valueTexts(c.values())))
	}
	return open, nil
}

// unusedScales warns of scales that no column was there for.
func (g *reading) unusedScales() {
	for _, column := range slices.Sorted(maps.Keys(g.scales)) {
		used := false
		for _, c := range g.labels {
			used = used || g.userScale(c) == g.scales[column]
		}
		switch {
		case used:
		case column == "":
			g.note(ToldWarning, "", "the scale is not used: there is no label column")
		default:
			g.note(ToldWarning, "", fmt.Sprintf("the scale is not used: there is no label column %q", column))
		}
	}
}

// applyScale finds the column that the scale without a column is for.
func (g *reading) applyScale() error {
	if g.scales[""] == nil {
		return nil
	}
	var names []string
	for _, name := range sortedNames(g.labels) {
		c := g.labels[name]
		if (c.kind == labelChoice || c.kind == labelVotes || c.kind == labelVote) && (len(c.seen) > 0 || c.text != "") && g.scales[name] == nil && g.scales[g.original(name)] == nil {
			names = append(names, name)
		}
	}
	switch {
	case len(names) > 1:
		e := &UndecidedError{File: g.file, Column: names[0], Reason: fmt.Sprintf("the columns %s may each be what the scale is for", strings.Join(names, ", "))}
		for _, n := range names {
			e.Scales = append(e.Scales, n+":"+strings.NewReplacer(" = ", "=", ", ", ",").Replace(g.scales[""].said))
		}
		return e
	case len(names) == 1:
		g.applied = names[0]
	}
	return nil
}

// twoPreferences refuses PKU-SafeRLHF's two labels, which mean different things.
func (g *reading) twoPreferences() error {
	names := []string{"better_response_id", "safer_response_id"}
	for _, n := range names {
		if c := g.labels[n]; c == nil || len(c.seen) == 0 {
			return nil
		}
	}
	return &UndecidedError{
		File: g.file, Column: names[0], Reason: names[0] + " and " + names[1] + " are two preferences, and a pair has one",
		Columns: []string{"label=" + names[0], "label=" + names[1]},
	}
}

// state says how a column is read, where its values could have meant something else.
func (g *reading) state(c *labelColumn) {
	said := c.scale.said
	if c.kind == labelFlag {
		// Flags of both sides, or of a tie, say it by their names.
		both := slices.ContainsFunc(g.plan.labels, func(l labelAt) bool { return l.kind == labelFlag && l.side != c.side && l.side != '=' })
		switch {
		case both || c.side == '=':
		case c.side == '1':
			said = "true = first, false = second"
		default:
			said = "true = second, false = first"
		}
	}
	if said != "" {
		g.note(ToldReading, "", c.name+": "+said)
	}
}

// decision is what is decided of the column, or what its values allow.
func (c *labelColumn) decision(g *reading, final bool) decision {
	switch {
	case c.scale != nil || c.unused != "":
		return decision{scale: c.scale, settled: c.settled, unused: c.unused}
	case g.format.order == orderChosen && c.kind != labelFlag && g.userScale(c) == nil:
		// Beside replies of which one is named the chosen one, only a tie is news.
		return decision{scale: scaleNames, settled: true}
	}
	return c.decide(g, final)
}

func sortedNames(m map[string]*labelColumn) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if i, j := labelRank(a), labelRank(b); i != j {
			return i - j
		}
		return strings.Compare(a, b)
	})
	return names
}

// labelRank orders label columns, those first that say most.
func labelRank(name string) int {
	if i := slices.Index(labelColumns, name); i >= 0 {
		return i
	}
	return len(labelColumns)
}
