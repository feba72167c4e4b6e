package web

import (
	"encoding/json"
	"strings"
)

// openAPI describes the routes, from the same table that the server answers by.
func (s *Server) openAPI() map[string]any {
	paths := map[string]any{}
	for _, rt := range routes() {
		op := map[string]any{
			"summary": rt.about,
			"responses": map[string]any{
				"200":     map[string]any{"description": "the answer", "content": jsonContent(nil)},
				"default": map[string]any{"description": "an error with its reason", "content": jsonContent(nil)},
			},
		}
		if rt.example != "" {
			var example any
			if err := json.Unmarshal([]byte(rt.example), &example); err != nil {
				panic(err) // the examples are part of the program
			}
			op["requestBody"] = map[string]any{"required": true, "content": jsonContent(example)}
		}
		if s.o.Token != "" && rt.path != "/health" {
			op["security"] = []any{map[string]any{"bearer": []any{}}}
		}
		paths[rt.path] = map[string]any{strings.ToLower(rt.method): op}
	}
	paths["/metrics"] = map[string]any{"get": map[string]any{
		"summary":   "Counts and durations in Prometheus's text format.",
		"responses": map[string]any{"200": map[string]any{"description": "the metrics", "content": map[string]any{"text/plain": map[string]any{}}}},
	}}
	return map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]any{"title": "cai serve", "description": "Scores of reward models.", "version": s.o.Version},
		"paths":   paths,
		"components": map[string]any{"securitySchemes": map[string]any{
			"bearer": map[string]any{"type": "http", "scheme": "bearer"},
		}},
	}
}

func jsonContent(example any) map[string]any {
	media := map[string]any{"schema": map[string]any{}}
	if example != nil {
		media = map[string]any{"schema": map[string]any{"type": "object"}, "example": example}
	}
	return map[string]any{"application/json": media}
}
