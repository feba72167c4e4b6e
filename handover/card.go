package handover

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"cai/eval"
	"cai/rm"
)

// yaml quotes a text; a JSON string is one of YAML, too.
func yaml(s string) string {
	b, _ := json.Marshal(s) // a string has a JSON form
	return string(b)
}

func license(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// modelCard fills a card of the Hugging Face Hub with what the model's file says:
// no figure stands in it that was not measured on the holdout.
func modelCard(m *rm.Model, name string, o Options) []byte {
	d := &m.Metadata
	var figures struct {
		Holdout eval.Set `json:"holdout"`
	}
	measured := json.Unmarshal(d.Metrics, &figures) == nil && figures.Holdout.N > 0
	h := figures.Holdout
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("---")
	p("license: %s", yaml(license(o.License)))
	p("library_name: cai")
	p("pipeline_tag: text-classification")
	p("tags:\n- reward-model\n- preference\n- rlaif")
	if measured {
		p("metrics:\n- accuracy")
		p("model-index:\n- name: %s\n  results:\n  - task:\n      type: text-classification\n      name: preference ranking", yaml(name))
		p("    dataset:\n      type: preference-pairs\n      name: %s", yaml("holdout of the training pairs, "+short(d.DataHash.String())))
		p("    metrics:")
		for _, f := range []struct {
			kind string
			v    eval.Figure
		}{{"accuracy", h.Accuracy}, {"log_loss", h.LogLoss}, {"ece", h.ECE}} {
			if f.v.Defined() {
				p("    - type: %s\n      value: %.6g", f.kind, float64(f.v))
			}
		}
	}
	p("---\n\n# %s\n", name)
	p("A reward model trained by cai: a score for a reply to a prompt. The difference of the scores of two replies to one prompt is the log-odds that the first is the better one; scores of replies to different prompts are not to be compared.\n")
	p("## Use\n")
	switch o.Format {
	case Python:
		p("```python\nimport cai_rm  # in this folder; Python's standard library alone\nmodel = cai_rm.load(\".\")\nmodel.score(\"Name a tree.\", \"Oak.\")\n```\n")
		p("`python3 cai_rm.py --check` scores `conformance.jsonl` again and prints the largest difference from what cai computed.\n")
	case Safetensors:
		p("`model.safetensors` has weights and settings (its metadata), `features.json` phrases and classes of characters, `conformance.jsonl` texts with their scores, for a reader to be checked by. `cai score --rm model.safetensors` reads it as it is.\n")
	case ONNX:
		p("`model.onnx` maps X [N, %d], the features that `inputs.json` names, to reward [N, 1]. `conformance.jsonl` has features and scores. The features are computed by cai; of a number that is not known give the mean.\n", len(mustAffine(m).Weight))
	}
	if src := m.Sources(); len(src) > 0 {
		p("The model needs numbers from outside, %s: pass them as prompt_vector and reply_vector. Those in `conformance.jsonl` are made up.\n", strings.Join(src, ", "))
	}
	p("## Training\n")
	row := func(k, format string, args ...any) {
		if v := fmt.Sprintf(format, args...); v != "" {
			p("| %s | %s |", k, strings.ReplaceAll(v, "|", "\\|"))
		}
	}
	p("| | |\n|---|---|")
	row("pairs fitted", "%d", d.Pairs)
	row("data hash", "`%s`", d.DataHash)
	row("features", "%s", strings.Join(d.Features, ", "))
	row("head", "%s: %s", d.Head, strings.Join(m.Members(), ", "))
	row("seed, L2, temperature", "%d, %g, %.6g", d.Seed, d.L2, d.Temperature)
	row("kept from preferring", "%s", strings.Join(d.Debias, ", "))
	row("judge of the labels", "%s", d.Judge)
	if !d.ConstitutionHash.IsZero() {
		row("constitution", "`%s`", d.ConstitutionHash)
	}
	row("trained by cai", "%s", d.Version)
	if d.Command != "" {
		row("command", "`%s`", d.Command)
	}
	p("\n## Figures\n")
	if measured {
		p("On %d pairs of %d prompts that were not trained on (intervals 95 %%, by prompt):\n", h.N, h.Prompts)
		p("| figure | value |\n|---|---|\n| accuracy | %s %s |\n| log loss (chance 0.693) | %s |\n| ECE | %s |\n| Spearman's ρ with length | %s |",
			h.Accuracy, h.CI, h.LogLoss, h.ECE, h.LengthSpearman)
		for _, k := range []string{"longer", "shorter", "markdown"} {
			if v, ok := h.Baselines[k]; ok {
				p("| accuracy of the baseline %q | %s |", k, v)
			}
		}
		p("\n`cai model verify FILE --data …` recomputes them.")
	} else {
		p("The model's file holds none: nothing is known of how good it is.")
	}
	p("\n## Limits\n")
	p("- The figures are on pairs like those of the training; on other prompts or replies of other models it may be worse.")
	p("- It reads features of the text (%s), not its meaning: it cannot tell a true statement from a false one, and a policy trained against it will find what it overrates. `cai audit` looks for that.", strings.Join(d.Features, ", "))
	if d.Judge != "" {
		p("- The labels are a judge's: the figures tell how well it agrees with that judge, not with people.")
	}
	if license(o.License) == "unknown" {
		p("- No licence was named at the export; the training data's own may bind.")
	}
	return b.Bytes()
}

func mustAffine(m *rm.Model) *rm.Affine {
	a, err := m.Affine()
	if err != nil {
		panic(err)
	}
	return a
}

func short(hash string) string { return hash[:min(12, len(hash))] }
