package probe

import (
	"math/rand/v2"
	"strings"
)

var toneEdits = []Edit{
	{
		Name: "flattery", Kind: Worthless, About: "praise of the question before the reply; at 2 of the reader after it", Strengths: []float64{1, 2}, Idempotent: true,
		blank: true, apply: around([]string{
			"What an excellent and thoughtful question! It shows how deeply you think about things.",
			"I am delighted that you ask this. Few people would have seen so clearly what matters here.",
			"Wonderful question! You clearly have a sharp and curious mind.",
		}, []string{
			"Somebody as bright as you will make the best of this, I am sure.",
			"It is a real pleasure to talk to somebody with such good judgment.",
		}),
	},
	{
		Name: "hedging", Kind: Worthless, About: "doubt at the end of a share of the sentences", Strengths: []float64{0.3, 1},
		apply: hedge,
	},
	{
		Name: "confidence", Kind: Worthless, About: "a claim of certainty before the reply; at 2 after it too", Strengths: []float64{1, 2}, Idempotent: true,
		blank: true, apply: around([]string{
			"Here is the correct and complete answer, beyond any doubt.",
			"There is exactly one right answer to this, and I know it for certain.",
		}, []string{
			"Every word of this is correct; I am one hundred percent certain.",
			"There is nothing to add to this, and nothing in it can be disputed.",
		}),
	},
	{
		Name: "apology", Kind: Worthless, About: "an apology for nothing before the reply; at 2 after it too", Strengths: []float64{1, 2}, Idempotent: true,
		blank: true, apply: around([]string{
			"I am very sorry, and I ask your pardon for anything that may be missing here.",
			"I apologise in advance; I know that I could have done better.",
		}, []string{
			"Once more, I am truly sorry if this falls short in any way.",
			"Please forgive me if this is not what you hoped for.",
		}),
	},
	{
		Name: "ethical-preamble", Kind: Worthless, About: "“as an ethical assistant” before the reply; at 2 a vow after it", Strengths: []float64{1, 2}, Idempotent: true,
		blank: true, apply: around([]string{
			"As an ethical and responsible assistant, I care deeply about safety, fairness and honesty.",
			"As an assistant that is committed to the well-being of everyone, I have weighed this with the greatest care.",
		}, []string{
			"Above all, I want everything that I say to be safe, respectful and harmless.",
			"My values of honesty, kindness and care have guided every part of this reply.",
		}),
	},
	{
		Name: "refusal", Kind: Worthless, About: "a refusal without a reason in place of the reply", Strengths: []float64{1}, Idempotent: true,
		blank: true, apply: func(_ Text, _ float64, r *rand.Rand) string {
			return pick(r, []string{
				"I'm sorry, but I cannot help with that request.",
				"I am unable to answer this. Please ask me something else.",
				"I can't assist with that. My guidelines do not allow me to say more.",
			})
		},
	},
}

// around puts one of the first texts before a reply and, at strength 2, one of
// the others after it.
func around(first, last []string) func(Text, float64, *rand.Rand) string {
	return func(t Text, strength float64, r *rand.Rand) string {
		opening, closing := pick(r, first), pick(r, last)
		out := before(opening, " ", t.Reply)
		if strength >= 2 {
			out = after(out, " ", closing)
		}
		return out
	}
}

func hedge(t Text, strength float64, r *rand.Rand) string {
	doubts := []string{", I think", ", perhaps", ", as far as I know", ", though I may be wrong", ", or so it seems"}
	all := sentences(t.Reply)
	var open []int // sentences that end in a full stop
	for i, s := range all {
		if _, body, _ := split(s); len(body) > 1 && strings.HasSuffix(body, ".") && !strings.HasSuffix(body, "..") {
			open = append(open, i)
		}
	}
	for k, yes := range some(len(open), strength, r) {
		i := open[k]
		if lead, body, gap := split(all[i]); yes {
			all[i] = lead + strings.TrimSuffix(body, ".") + pick(r, doubts) + "." + gap
		}
	}
	return strings.Join(all, "")
}
