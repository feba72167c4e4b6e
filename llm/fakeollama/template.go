package fakeollama

import (
	"encoding/json"
	"strings"

	"github.com/ollama/ollama/api"
)

// BareTemplate is what Ollama gives for a model without a chat template: the
// texts reach it as they are.
const BareTemplate = "{{ .Prompt }}"

const chatML = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"

// render is what the model would read.
func (m *Model) render(msgs []api.Message) string {
	var b strings.Builder
	for _, msg := range msgs {
		if m.Template == BareTemplate {
			b.WriteString(msg.Content)
			continue
		}
		b.WriteString("<|im_start|>" + msg.Role + "\n" + msg.Content + "<|im_end|>\n")
	}
	if m.Template != BareTemplate {
		b.WriteString("<|im_start|>assistant\n")
	}
	return b.String()
}

// example is the smallest JSON that keeps to a schema of objects, arrays and
// plain values; of an enumeration it takes the first.
func example(schema string) string {
	var s any
	if json.Unmarshal([]byte(schema), &s) != nil {
		return "{}"
	}
	b, err := json.Marshal(instance(s))
	if err != nil {
		return "{}"
	}
	return string(b)
}

func instance(schema any) any {
	s, ok := schema.(map[string]any)
	if !ok {
		return map[string]any{}
	}
	if e, ok := s["enum"].([]any); ok && len(e) > 0 {
		return e[0]
	}
	switch s["type"] {
	case "string":
		return "x"
	case "integer", "number":
		if n, ok := s["minimum"].(float64); ok {
			return n
		}
		return 0
	case "boolean":
		return true
	case "array":
		return []any{}
	case "null":
		return nil
	}
	o := map[string]any{}
	props, _ := s["properties"].(map[string]any)
	for name, p := range props {
		o[name] = instance(p)
	}
	return o
}
