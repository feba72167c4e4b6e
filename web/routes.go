package web

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"time"

	"cai/dataset"
	"cai/rm"
)

// route is an address and what answers there.
type route struct {
	method, path string
	about        string
	errors       style
	handle       func(*request) (any, error)
	example      string // a body that it answers; empty for GET
}

// routes are all addresses that answer with JSON.
func routes() []*route {
	var all []*route
	post := func(about string, st style, example string, handle func(*request) (any, error), paths ...string) {
		for _, p := range paths {
			all = append(all, &route{http.MethodPost, p, about, st, handle, example})
		}
	}
	get := func(about string, handle func(*request) (any, error), paths ...string) {
		for _, p := range paths {
			all = append(all, &route{http.MethodGet, p, about, openAIStyle, handle, ""})
		}
	}
	post("Scores with their uncertainty, and the alarms that ring for the model: items of prompt (text or messages) and response. Also vLLM's score: text_1 and text_2, queries and documents.",
		openAIStyle, `{"items": [{"prompt": "May I feed ducks bread?", "response": "Better oats."}]}`, ownScore, "/v1/score")
	post("OpenRLHF's remote reward model: query is prompt and response together, prompts the prompts.",
		openAIStyle, `{"query": ["User: hi\nHello"], "prompts": ["User: hi\n"], "labels": [null]}`, getReward, "/get_reward")
	post("vLLM's classify (input or messages; sigmoid unless use_activation is false) and SGLang's (text; the score as it is).",
		openAIStyle, `{"input": ["<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nHello"], "use_activation": false}`, classify, "/classify")
	post("vLLM's score of pairs of texts: a prompt and a reply.",
		openAIStyle, `{"text_1": "May I feed ducks bread?", "text_2": ["Better oats.", "No."]}`, vllmScore, "/score")
	post("An embedding of one number, the score, as SGLang serves reward models.",
		openAIStyle, `{"input": "Better oats."}`, embeddings, "/v1/embeddings")
	post("vLLM's pooling: the score as it is.", openAIStyle, `{"input": ["Better oats."]}`, pooling, "/pooling")
	post("Replies to a query, best first: vLLM's, Jina's and Cohere's (documents), TEI's (texts).",
		teiStyle, `{"query": "May I feed ducks bread?", "documents": ["Better oats.", "No."]}`, rerank, "/rerank", "/v1/rerank", "/v2/rerank")
	post("TEI's predict.", teiStyle, `{"inputs": [["May I feed ducks bread?", "Better oats."]], "raw_scores": true}`, predict, "/predict")
	get("Whether the server answers.", func(*request) (any, error) { return map[string]string{"status": "ok"}, nil }, "/health", "/ready")
	get("The models that are served.", listModels, "/v1/models")
	get("The monitor of each model: reference, windows tested, alarms, the last window's statistics beside their thresholds.", monitors, "/v1/monitor")
	get("The version of the server.", func(q *request) (any, error) { return map[string]string{"version": q.s.o.Version}, nil }, "/version")
	get("What is served, as TEI tells it.", info, "/info")
	get("This document.", func(q *request) (any, error) { return q.s.openAPI(), nil }, "/openapi.json")
	return all
}

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes() {
		mux.HandleFunc(rt.method+" "+rt.path, s.answer(rt))
		if rt.path == "/classify" {
			mux.HandleFunc("PUT "+rt.path, s.answer(rt)) // SGLang's clients may
		}
	}
	mux.HandleFunc("GET /metrics", s.writeMetrics)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, &apiError{http.StatusNotFound, "no such address; GET /openapi.json lists them"})
	})
	return mux
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// activated is the score, or its sigmoid.
func activated(s rm.Score, on bool) float64 {
	if on {
		return sigmoid(s.Mean)
	}
	return s.Mean
}

func newID(prefix string) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + hex.EncodeToString(b[:])
}

// texts is a text or a list of them.
type texts []string

// UnmarshalJSON reads either.
func (t *texts) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var one string
		if err := json.Unmarshal(b, &one); err != nil {
			return err
		}
		*t = texts{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return err
	}
	*t = many
	return nil
}

// usage counts nothing: a model of features has no tokens.
var usage = map[string]any{"prompt_tokens": 0, "total_tokens": 0, "completion_tokens": 0, "prompt_tokens_details": nil}

// scoreItem is a reply with what it answers.
type scoreItem struct {
	Prompt   dataset.Conversation `json:"prompt"`
	Messages dataset.Conversation `json:"messages"`
	Response *string              `json:"response"`
}

// item gives the reply; messages may end in it.
func (it *scoreItem) item() (rm.Item, error) {
	c := it.Prompt
	if c == nil {
		c = it.Messages
	}
	if it.Response != nil {
		return rm.Item{Prompt: c, Reply: *it.Response}, nil
	}
	if last := len(it.Messages) - 1; last >= 0 && it.Messages[last].Role == "assistant" {
		return rm.Item{Prompt: it.Messages[:last], Reply: it.Messages[last].Content}, nil
	}
	return rm.Item{}, bad(`an item needs "response", or "messages" that end with the assistant's`)
}

// ownScore is the server's own shape; with other fields it is vLLM's.
func ownScore(q *request) (any, error) {
	var body struct {
		scoreItem
		vllmPairs
		Model string          `json:"model"`
		Items json.RawMessage `json:"items"`
	}
	if err := q.read(&body); err != nil {
		return nil, err
	}
	if body.vllmPairs.any() {
		if err := body.vllmPairs.items(body.Items); err != nil {
			return nil, err
		}
		return q.scorePairs(body.Model, &body.vllmPairs)
	}
	list := []scoreItem{body.scoreItem}
	if body.Items != nil {
		list = nil
		if err := json.Unmarshal(body.Items, &list); err != nil {
			return nil, bad("items: %v", err)
		}
	}
	items := make([]rm.Item, len(list))
	for i := range list {
		var err error
		if items[i], err = list[i].item(); err != nil {
			return nil, err
		}
		if i > 0 && slices.Equal(items[i].Prompt, items[i-1].Prompt) {
			items[i].Prompt = items[i-1].Prompt // read once
		}
	}
	scores, m, err := q.score(body.Model, items)
	if err != nil {
		return nil, err
	}
	type scored struct {
		Score float64 `json:"score"`
		Std   float64 `json:"std"`
	}
	out := make([]scored, len(scores))
	for i, s := range scores {
		out[i] = scored{s.Mean, s.Std}
	}
	return map[string]any{"model": m.Name, "scores": out, "alarms": m.alarms()}, nil
}

func getReward(q *request) (any, error) {
	var body struct {
		Query   texts  `json:"query"`
		Prompts texts  `json:"prompts"`
		Model   string `json:"model"`
	}
	if err := q.read(&body); err != nil {
		return nil, err
	}
	if body.Query == nil {
		return nil, bad(`no "query"`)
	}
	if len(body.Prompts) > 0 && len(body.Prompts) != len(body.Query) {
		return nil, bad("%d queries and %d prompts", len(body.Query), len(body.Prompts))
	}
	items := make([]rm.Item, len(body.Query))
	for i, text := range body.Query {
		prompt := ""
		if len(body.Prompts) > 0 {
			prompt = body.Prompts[i]
		}
		items[i].Prompt, items[i].Reply = splitAfter(text, prompt)
	}
	scores, m, err := q.score(body.Model, items)
	if err != nil {
		return nil, err
	}
	rewards, stds := make([]float64, len(scores)), make([]float64, len(scores))
	for i, s := range scores {
		rewards[i], stds[i] = s.Mean, s.Std
	}
	logs := map[string]any{"reward_std": stds}
	if alarms := m.alarms(); alarms != nil { // numbers alone: others end the rollout
		rings := make([]int, len(scores))
		for i := range rings {
			rings[i] = min(1, len(alarms))
		}
		logs["alarm"] = rings
	}
	return map[string]any{"rewards": rewards, "scores": rewards, "extra_logs": logs}, nil
}

func listModels(q *request) (any, error) {
	var data []map[string]any
	for _, m := range q.s.models {
		data = append(data, map[string]any{
			"id": m.Name, "object": "model", "created": m.current.Load().since.Unix(), "owned_by": "cai", "root": m.Name, "parent": nil,
			"permission": []any{},
		})
	}
	return map[string]any{"object": "list", "data": data}, nil
}

func info(q *request) (any, error) {
	m := q.s.models[0]
	label := map[string]any{"id2label": map[string]string{"0": "LABEL_0"}, "label2id": map[string]int{"LABEL_0": 0}}
	return map[string]any{
		"model_id": m.Name, "model_sha": m.current.Load().sum, "model_dtype": "float32", "served_model_name": m.Name,
		"model_type": map[string]any{"reranker": label}, "version": q.s.o.Version, "max_concurrent_requests": q.s.o.Concurrent,
		"max_client_batch_size": maxTEIBatch, "max_input_length": q.s.o.MaxBody, "max_batch_tokens": q.s.o.MaxBody, "auto_truncate": false,
	}, nil
}

func unix() int64 { return time.Now().Unix() }
