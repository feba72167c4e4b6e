package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"cai/dataset"
	"cai/eval"
	"cai/label"
	"cai/store"
)

// subjectOf identifies what a calibration is fitted to and holds for: the
// log-odds that these judges come to under these principles by this rule. The
// coverage below which judgments abstain does not belong to it: it says which
// pairs have a label, not what the label is.
func subjectOf(p *panel, set label.Settings) dataset.Hash {
	type weighed struct {
		hash   dataset.Hash
		weight float64
	}
	sum := func(ws []weighed) (total float64) {
		for _, w := range ws {
			total += w.weight
		}
		return total
	}
	// Weights are shares, so that those of a panel twice as heavy are the same.
	add := func(parts []string, name string, ws []weighed) []string {
		slices.SortFunc(ws, func(a, b weighed) int { return cmp.Compare(string(a.hash[:]), string(b.hash[:])) })
		total := sum(ws)
		parts = append(parts, name, strconv.Itoa(len(ws)))
		for _, w := range ws {
			parts = append(parts, w.hash.String(), strconv.FormatFloat(w.weight/total, 'g', 9, 64))
		}
		return parts
	}
	var judges, principles []weighed
	for i, j := range p.judges {
		judges = append(judges, weighed{j.Hash, p.weights[i]})
	}
	for h, w := range set.Weights {
		if w > 0 {
			principles = append(principles, weighed{h, w})
		}
	}
	parts := add(nil, "judges", judges)
	parts = add(parts, "principles", principles)
	parts = append(parts, "rule", string(set.Rule), "one order", strconv.FormatBool(set.OneOrder))
	return dataset.HashOf("calibration subject", parts...)
}

// decodeCalibration reads a stored map.
func decodeCalibration(c *store.Calibration) (eval.Calibration, error) {
	switch c.Method {
	case eval.MapTemperature:
		var t eval.Temperature
		if err := json.Unmarshal(c.Params, &t); err != nil {
			return nil, fmt.Errorf("the stored calibration of %s: %w", c.Created.Format("2006-01-02 15:04"), err)
		}
		return t, nil
	case eval.MapIsotonic:
		var m eval.Isotonic
		if err := json.Unmarshal(c.Params, &m); err != nil {
			return nil, fmt.Errorf("the stored calibration of %s: %w", c.Created.Format("2006-01-02 15:04"), err)
		}
		if len(m.X) != len(m.P) || !slices.IsSorted(m.X) {
			return nil, fmt.Errorf("the stored calibration of %s is damaged", c.Created.Format("2006-01-02 15:04"))
		}
		return m, nil
	}
	return nil, hinted(fmt.Errorf("the stored calibration has the map %q, which this cai does not know", c.Method), "run cai calibrate again")
}
