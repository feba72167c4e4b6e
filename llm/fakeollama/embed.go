package fakeollama

import (
	"math"
	"net/http"
	"strings"

	"github.com/ollama/ollama/api"
)

// embed gives every text the normalised sum of its words' vectors, so that
// texts with words in common are near each other.
func (s *Server) embed(w http.ResponseWriter, r *http.Request) {
	var req api.EmbedRequest
	if !read(w, r, &req) {
		return
	}
	var texts []string
	switch in := req.Input.(type) {
	case string:
		if in != "" {
			texts = []string{in}
		}
	case []any:
		for _, v := range in {
			t, ok := v.(string)
			if !ok {
				refuse(w, http.StatusBadRequest, "invalid input type")
				return
			}
			texts = append(texts, t)
		}
	case nil:
	default:
		refuse(w, http.StatusBadRequest, "invalid input type")
		return
	}
	m := s.find(req.Model)
	if m == nil {
		refuse(w, http.StatusNotFound, "model '%s' not found", req.Model)
		return
	}
	resp := api.EmbedResponse{Model: req.Model, Embeddings: [][]float32{}}
	for _, t := range texts {
		n := count(t)
		if n > m.Context {
			if req.Truncate != nil && !*req.Truncate {
				refuse(w, http.StatusBadRequest, "the input length exceeds the context length")
				return
			}
			n = m.Context
		}
		resp.PromptEvalCount += n
		resp.Embeddings = append(resp.Embeddings, vector(t, m.Dim))
	}
	if len(texts) > 0 {
		s.load(m, m.Context, req.KeepAlive)
	}
	reply(w, http.StatusOK, resp)
}

func vector(text string, dim int) []float32 {
	v := make([]float64, dim)
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		for i := range v {
			v[i] += whim(word, string(rune(i)))
		}
	}
	var sum float64
	for _, x := range v {
		sum += x * x
	}
	out := make([]float32, dim)
	for i, x := range v {
		if sum > 0 {
			out[i] = float32(x / math.Sqrt(sum))
		}
	}
	return out
}
