package rm

import (
	"context"
	"fmt"
	"math"
	"time"

	"cai/dataset"
)

// defaultBudget is Options.Budget where it is 0.
const defaultBudget = 10 * time.Minute

// Candidate is a form of the model that HeadAuto tried: its mean cross-entropy
// in nats, at the temperature that suits it best, and its accuracy on pairs whose
// prompts it had not seen, over all folds. Error says why there are no figures.
type Candidate struct {
	Head     string  `json:"head"`
	LogLoss  float64 `json:"log_loss,omitempty"`
	Accuracy float64 `json:"accuracy,omitempty"`
	// LogLossSE is the standard error of LogLoss less that of the first candidate,
	// over prompts.
	LogLossSE float64 `json:"log_loss_se,omitempty"`
	Seconds   float64 `json:"seconds"`
	Error     string  `json:"error,omitempty"`
}

// fitBest tries the forms of the model by cross-validation over folds of prompts,
// the simplest first, as far as the budget goes, and fits the one that is best:
// the simplest of those whose loss is within one standard error of the least
// (Breiman et al. 1984).
func fitBest(ctx context.Context, rows []row, sp spec, o Options, t *Training) (*Model, error) {
	forms := []string{HeadLinear, HeadMLP, HeadStack}
	if len(o.Principles) > 0 && o.Votes != nil {
		forms = append(forms, HeadPrinciples)
	}
	budget := o.Budget
	if budget == 0 {
		budget = defaultBudget
	}
	o.keep = true
	start := time.Now()
	losses := map[string][]float64{}
	var tried []Candidate
	for i, form := range forms {
		if o.Progress != nil {
			o.Progress("auto: "+form, i, len(forms))
		}
		c := Candidate{Head: form}
		if left := budget - time.Since(start); i > 0 && left <= 0 {
			c.Error = "the time budget was spent"
			tried = append(tried, c)
			continue
		}
		began := time.Now()
		limited, cancel := ctx, context.CancelFunc(func() {})
		if i > 0 {
			limited, cancel = context.WithDeadline(ctx, start.Add(budget))
		}
		z, err := crossValidate(limited, rows, sp, o, form)
		over := limited.Err() != nil
		cancel()
		c.Seconds = time.Since(began).Seconds()
		switch {
		case ctx.Err() != nil:
			// What is left is to fit the form that takes a moment.
			t.Tried, t.Interrupted = tried, true
			o.Head = HeadLinear
			return fitRows(context.WithoutCancel(ctx), rows, sp, o, t)
		case over && err != nil:
			c.Error = "the time budget was spent"
		case err != nil:
			c.Error = err.Error()
		default:
			labels := make([]float64, len(rows))
			for i := range rows {
				labels[i] = rows[i].p()
			}
			temp, loss := temperature(z, labels)
			c.LogLoss, c.Accuracy = loss, accuracy(z, labels)
			for i := range z {
				z[i] = crossEntropy(z[i]/temp, labels[i])
			}
			losses[form] = z
			if first := losses[forms[0]]; first != nil {
				c.LogLossSE = differenceError(rows, z, first)
			}
		}
		tried = append(tried, c)
	}
	best := choose(rows, tried, losses)
	if best == "" {
		return nil, fmt.Errorf("auto: no form of the model could be fitted: %s", tried[0].Error)
	}
	t.Tried = tried
	o.Head = best
	return fitRows(ctx, rows, sp, o, t)
}

// choose gives the first candidate whose loss is within a standard error of the
// least; "" where there is none.
func choose(rows []row, tried []Candidate, losses map[string][]float64) string {
	best, low := "", math.Inf(1)
	for _, c := range tried {
		if losses[c.Head] != nil && c.LogLoss < low {
			best, low = c.Head, c.LogLoss
		}
	}
	for _, c := range tried {
		if l := losses[c.Head]; l != nil && c.LogLoss-low <= differenceError(rows, l, losses[best]) {
			return c.Head
		}
	}
	return best
}

// differenceError is the standard error of the mean of x − y, clustered by
// prompt.
func differenceError(rows []row, x, y []float64) float64 {
	mean := 0.0
	for i := range x {
		mean += (x[i] - y[i]) / float64(len(x))
	}
	at := map[dataset.Hash]int{}
	var sums []float64
	for i := range x {
		k, ok := at[rows[i].prompt]
		if !ok {
			k = len(sums)
			at[rows[i].prompt] = k
			sums = append(sums, 0)
		}
		sums[k] += x[i] - y[i] - mean
	}
	sq := dot(sums, sums)
	return math.Sqrt(sq) / float64(len(x))
}

// crossValidate gives margins of rows by models of the form that did not see
// their prompts.
func crossValidate(ctx context.Context, rows []row, sp spec, o Options, form string) ([]float64, error) {
	o.Head = form
	o.Progress = nil
	out := make([]float64, len(rows))
	for k := range numFolds {
		var train, test []row
		var at []int
		for i, r := range rows {
			if r.fold(o.Seed) == k {
				test, at = append(test, r), append(at, i)
			} else {
				train = append(train, r)
			}
		}
		if len(train) == 0 || len(test) == 0 {
			continue
		}
		t := &Training{Pairs: len(train)}
		t.Train, t.Validation = split(train, 0)
		m, err := fitRows(ctx, train, sp, o, t)
		if err != nil {
			return nil, err
		}
		z := m.margins(test, m.space.known(test))
		for i, j := range at {
			out[j] = z[i] / m.Metadata.Temperature
		}
	}
	return out, nil
}
