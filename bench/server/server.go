// Package server is what benchmarks on a real server have in common.
package server

import (
	"context"
	"slices"
	"strings"

	"cai/llm"
)

// Open opens a model and finds out which weights it has. An empty host is that of
// OLLAMA_HOST. The caller closes the client.
func Open(ctx context.Context, host, model string, options map[string]string) (*llm.Client, llm.Identity, error) {
	cfg := llm.Config{Model: model, Options: options}
	if host != "" {
		cfg.Hosts = []string{host}
	}
	client, err := llm.Open(cfg)
	if err != nil {
		return nil, llm.Identity{}, err
	}
	id, err := client.Identify(ctx)
	if err != nil {
		client.Close()
		return nil, llm.Identity{}, err
	}
	return client, id, nil
}

// QuestionFirst puts the last paragraph of a prompt, which is the question, before
// the rest.
func QuestionFirst(r llm.Request) llm.Request {
	r.Messages = slices.Clone(r.Messages)
	m := &r.Messages[len(r.Messages)-1]
	i := strings.LastIndex(m.Content, "\n\n")
	m.Content = m.Content[i+2:] + "\n\n" + m.Content[:i]
	return r
}
