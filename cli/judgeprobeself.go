package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cai/dataset"
	"cai/eval"
	"cai/llm"
)

// byAuthor looks at the pairs in which one reply is the judge's own model's and
// people have decided.
func (k *probing) byAuthor() judgeProbe {
	var against, back tally // people are for the other reply; for the model's own
	for i := range k.pairs {
		p := &k.pairs[i]
		first, second := strings.EqualFold(p.First.Author, k.o.Author), strings.EqualFold(p.Second.Author, k.o.Author)
		if first == second || !p.Labelled() || p.P == 0.5 {
			continue
		}
		z := p.z // for the model's own reply
		if second {
			z = -z
		}
		if people := p.P > 0.5; people == first {
			back.add(p, z < 0, z)
		} else {
			against.add(p, z > 0, z)
		}
	}
	r := against.result(probeSelf, probeSelf, k.rms)
	r.Note = fmt.Sprintf("against people's choice: for the model's own reply in %.0f of %d, for the other in %.0f of %d; the difference can also come of what its replies have in common",
		total(against.flips), len(against.flips), total(back.flips), len(back.flips))
	if len(back.flips) == 0 || r.N == 0 {
		return r
	}
	flips, clusters := slices.Concat(against.flips, back.flips), slices.Concat(against.prompts, back.prompts)
	excess := func(items []int) float64 {
		var sum, n [2]float64
		for _, i := range items {
			side := 0
			if i >= len(against.flips) {
				side = 1
			}
			sum[side] += flips[i]
			n[side]++
		}
		return sum[0]/n[0] - sum[1]/n[1]
	}
	ci := eval.BootstrapOf(clusters, excess, eval.Interval{-1, 1}, eval.Options{Seed: k.o.Seed})
	point := float64(r.FlipRate) - total(back.flips)/float64(len(back.flips))
	switch {
	case ci[0] > 0:
		r.Verdict = verdictFail
	case point <= editBounds.pass && ci[1] <= editBounds.most:
		r.Verdict = verdictPass
	default:
		r.Verdict = verdictWarn
	}
	return r
}

// written has the judge's own model reply, and holds that against the reply that
// people chose.
func (k *probing) written(j prober) (judgeProbe, error) {
	var seen tally
	asked := 0
	for i := range k.pairs {
		p := &k.pairs[i]
		chosen := p.Second
		if p.P > 0.5 {
			chosen = p.First
		}
		if !p.Labelled() || p.P == 0.5 || k.o.Author != "" && strings.EqualFold(chosen.Author, k.o.Author) {
			continue
		}
		if asked++; asked > k.o.Own {
			break
		}
		reply, err := k.o.Write(k.ctx, p.Prompt)
		if err != nil {
			if err := k.app.itemError(err, p.Source, ""); err != nil {
				return judgeProbe{}, err
			}
			k.done()
			seen.failed++
			continue
		}
		pref, ok, err := k.prefer(j, p.Pair, reply, chosen.Text)
		if err != nil {
			return judgeProbe{}, err
		}
		if !ok {
			seen.failed++
			continue
		}
		seen.add(p, pref.Z > 0, pref.Z)
	}
	r := seen.result(probeSelf+"/written", probeSelf, k.rms)
	r.Note = "its own model's new reply against the one that people chose; nobody compared these two, so a share above a half is a better reply or a liking for its own, which this cannot tell apart"
	if r.N > 0 {
		r.Verdict = verdictPass
		if r.CI[0] > 0.5 {
			r.Verdict = verdictWarn
		}
	}
	return r, nil
}

// writes makes a [probeOptions.Write] of a model.
func writes(m llm.Chatter, tokens int) func(context.Context, dataset.Conversation) (string, error) {
	return func(ctx context.Context, c dataset.Conversation) (string, error) {
		req := llm.Request{MaxTokens: tokens}
		for _, t := range c {
			role := t.Role
			if role == "tool" {
				role = "user"
			}
			req.Messages = append(req.Messages, llm.Message{Role: role, Content: t.Content})
		}
		r, err := m.Chat(ctx, req)
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(r.Text), nil
	}
}
