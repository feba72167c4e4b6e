package web

import (
	"cmp"
	"encoding/json"
	"slices"

	"cai/dataset"
	"cai/rm"
)

// templated makes items of texts that a chat template made.
func templated(in []string) []rm.Item {
	items := make([]rm.Item, len(in))
	for i, text := range in {
		items[i].Prompt, items[i].Reply = split(text)
	}
	return items
}

// classifyRequest is vLLM's, and with text SGLang's.
type classifyRequest struct {
	Model         string               `json:"model"`
	Input         texts                `json:"input"`
	Messages      dataset.Conversation `json:"messages"`
	Text          texts                `json:"text"`
	UseActivation *bool                `json:"use_activation"`
}

// items gives the replies to be scored.
func (c *classifyRequest) items() ([]rm.Item, error) {
	switch {
	case c.Messages != nil:
		it, err := (&scoreItem{Messages: c.Messages}).item()
		return []rm.Item{it}, err
	case c.Input != nil:
		return templated(c.Input), nil
	}
	return nil, bad(`no "input" and no "messages"; token ids cannot be read here`)
}

func classify(q *request) (any, error) {
	var body classifyRequest
	if err := q.read(&body); err != nil {
		return nil, err
	}
	if body.Text != nil {
		return q.sglangClassify(&body)
	}
	items, err := body.items()
	if err != nil {
		return nil, err
	}
	scores, m, err := q.score(body.Model, items)
	if err != nil {
		return nil, err
	}
	type class struct {
		Index   int       `json:"index"`
		Label   string    `json:"label"`
		Probs   []float64 `json:"probs"`
		Classes int       `json:"num_classes"`
	}
	data := make([]class, len(scores))
	for i, s := range scores {
		data[i] = class{i, "LABEL_0", []float64{activated(s, body.UseActivation == nil || *body.UseActivation)}, 1}
	}
	return map[string]any{"id": newID("classify-"), "object": "list", "created": unix(), "model": m.Name, "data": data, "usage": usage}, nil
}

// sglangClassify answers SGLang's own route: the score as it is.
func (q *request) sglangClassify(c *classifyRequest) (any, error) {
	scores, _, err := q.score(c.Model, templated(c.Text))
	if err != nil {
		return nil, err
	}
	out := make([]map[string]any, len(scores))
	for i, s := range scores {
		out[i] = map[string]any{"embedding": []float64{s.Mean}, "meta_info": map[string]any{"id": newID(""), "prompt_tokens": 0}}
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

func embeddings(q *request) (any, error) {
	data, m, err := q.vectors("embedding", "embedding")
	if err != nil {
		return nil, err
	}
	return map[string]any{"object": "list", "model": m.Name, "data": data, "usage": usage}, nil
}

func pooling(q *request) (any, error) {
	data, m, err := q.vectors("pooling", "data")
	if err != nil {
		return nil, err
	}
	return map[string]any{"id": newID("pool-"), "object": "list", "created": unix(), "model": m.Name, "data": data, "usage": usage}, nil
}

// vectors gives scores as vectors of one number, under a key.
func (q *request) vectors(object, key string) ([]map[string]any, *Model, error) {
	var body classifyRequest
	if err := q.read(&body); err != nil {
		return nil, nil, err
	}
	items, err := body.items()
	if err != nil {
		return nil, nil, err
	}
	scores, m, err := q.score(body.Model, items)
	if err != nil {
		return nil, nil, err
	}
	data := make([]map[string]any, len(scores))
	for i, s := range scores {
		data[i] = map[string]any{"object": object, "index": i, key: []float64{s.Mean}}
	}
	return data, m, nil
}

// vllmPairs are two lists of texts by any of the names that vLLM takes.
type vllmPairs struct {
	Text1         texts `json:"text_1"`
	Text2         texts `json:"text_2"`
	Data1         texts `json:"data_1"`
	Data2         texts `json:"data_2"`
	Queries       texts `json:"queries"`
	Documents     texts `json:"documents"`
	UseActivation *bool `json:"use_activation"`
}

func (p *vllmPairs) any() bool { return p.Text1 != nil || p.Data1 != nil || p.Queries != nil }

// items takes a list of texts under the name items, which go with queries.
func (p *vllmPairs) items(raw json.RawMessage) error {
	if raw == nil || p.Queries == nil {
		return nil
	}
	if err := json.Unmarshal(raw, &p.Documents); err != nil {
		return bad("items: %v", err)
	}
	return nil
}

func vllmScore(q *request) (any, error) {
	var body struct {
		vllmPairs
		Model string          `json:"model"`
		Items json.RawMessage `json:"items"`
	}
	if err := q.read(&body); err != nil {
		return nil, err
	}
	if err := body.items(body.Items); err != nil {
		return nil, err
	}
	return q.scorePairs(body.Model, &body.vllmPairs)
}

func (q *request) scorePairs(model string, p *vllmPairs) (any, error) {
	first, second := p.Text1, p.Text2
	switch {
	case p.Data1 != nil:
		first, second = p.Data1, p.Data2
	case p.Queries != nil:
		first, second = p.Queries, p.Documents
	}
	if first == nil || second == nil {
		return nil, bad("two lists are needed: text_1 and text_2, data_1 and data_2, queries and documents, or queries and items")
	}
	if len(first) != len(second) && len(first) != 1 {
		return nil, bad("%d texts against %d: there must be as many, or one", len(first), len(second))
	}
	items := make([]rm.Item, len(second))
	for i, text := range second {
		if len(first) == 1 && i > 0 {
			items[i] = rm.Item{Prompt: items[0].Prompt, Reply: text}
		} else {
			items[i] = rm.Item{Prompt: promptOf(first[i]), Reply: text}
		}
	}
	scores, m, err := q.score(model, items)
	if err != nil {
		return nil, err
	}
	type scored struct {
		Index  int     `json:"index"`
		Object string  `json:"object"`
		Score  float64 `json:"score"`
	}
	data := make([]scored, len(scores))
	for i, s := range scores {
		data[i] = scored{i, "score", activated(s, p.UseActivation == nil || *p.UseActivation)}
	}
	return map[string]any{"id": newID("score-"), "object": "list", "created": unix(), "model": m.Name, "data": data, "usage": usage}, nil
}

// promptOf reads a prompt that may be templated.
func promptOf(text string) dataset.Conversation {
	if c, ok := parseChat(text); ok {
		return c
	}
	return dataset.Prompt(text)
}

// document is a text, or an object that holds one.
type document struct{ text string }

// UnmarshalJSON reads "…" and {"text": "…"}.
func (d *document) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &d.text)
	}
	var o struct {
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	if o.Text == nil {
		return bad(`a document is a text or {"text": …}`)
	}
	d.text = *o.Text
	return nil
}

// rerank answers with the best first: in TEI's shape where the replies are called
// texts, else in vLLM's, which Jina's and Cohere's clients read too.
func rerank(q *request) (any, error) {
	var body struct {
		Model           string     `json:"model"`
		Query           *string    `json:"query"`
		Documents       []document `json:"documents"`
		TopN            int        `json:"top_n"`
		ReturnDocuments *bool      `json:"return_documents"`
		UseActivation   *bool      `json:"use_activation"`
		Texts           []string   `json:"texts"`
		RawScores       bool       `json:"raw_scores"`
		ReturnText      bool       `json:"return_text"`
	}
	if err := q.read(&body); err != nil {
		return nil, err
	}
	if body.Query == nil {
		return nil, bad(`no "query"`)
	}
	tei := body.Texts != nil
	var docs []string
	for _, d := range body.Documents {
		docs = append(docs, d.text)
	}
	if tei {
		docs = body.Texts
	}
	if len(docs) == 0 {
		return nil, bad(`no "documents" and no "texts"`)
	}
	items := make([]rm.Item, len(docs))
	prompt := promptOf(*body.Query)
	for i, d := range docs {
		items[i] = rm.Item{Prompt: prompt, Reply: d}
	}
	scores, m, err := q.score(body.Model, items)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(docs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b].Mean, scores[a].Mean) })
	if body.TopN > 0 && body.TopN < len(order) {
		order = order[:body.TopN]
	}
	out := make([]map[string]any, len(order))
	for k, i := range order {
		if tei {
			out[k] = map[string]any{"index": i, "score": activated(scores[i], !body.RawScores)}
			if body.ReturnText {
				out[k]["text"] = docs[i]
			}
			continue
		}
		out[k] = map[string]any{"index": i, "relevance_score": activated(scores[i], body.UseActivation == nil || *body.UseActivation)}
		if body.ReturnDocuments == nil || *body.ReturnDocuments {
			out[k]["document"] = map[string]any{"text": docs[i], "multi_modal": nil}
		}
	}
	if tei {
		return out, nil
	}
	return map[string]any{
		"id": newID("rerank-"), "model": m.Name, "results": out, "usage": map[string]int{"prompt_tokens": 0, "total_tokens": 0},
		"meta": map[string]any{"billed_units": map[string]int{"search_units": 0}},
	}, nil
}

// maxTEIBatch is how many inputs TEI's route takes at once.
const maxTEIBatch = 1024

// predict is TEI's: one text, one pair of texts, or a list of lists of one or two.
func predict(q *request) (any, error) {
	var body struct {
		Inputs    json.RawMessage `json:"inputs"`
		RawScores bool            `json:"raw_scores"`
	}
	if err := q.read(&body); err != nil {
		return nil, err
	}
	var one string
	var pair []string
	var many [][]string
	single := true
	switch {
	case json.Unmarshal(body.Inputs, &one) == nil:
		many = [][]string{{one}}
	case json.Unmarshal(body.Inputs, &pair) == nil && (len(pair) == 1 || len(pair) == 2):
		many = [][]string{pair}
	case json.Unmarshal(body.Inputs, &many) == nil:
		single = false
	default:
		return nil, bad(`inputs is a text, a pair of texts, or a list of lists of one or two texts; a batch of single texts is [["a"], ["b"]]`)
	}
	if len(many) == 0 || len(many) > maxTEIBatch {
		return nil, bad("%d inputs; from 1 to %d can be", len(many), maxTEIBatch)
	}
	items := make([]rm.Item, len(many))
	for i, in := range many {
		switch len(in) {
		case 1:
			items[i].Prompt, items[i].Reply = split(in[0])
		case 2:
			items[i] = rm.Item{Prompt: promptOf(in[0]), Reply: in[1]}
		default:
			return nil, bad("input %d has %d texts, not one or two", i, len(in))
		}
	}
	scores, _, err := q.score("", items)
	if err != nil {
		return nil, err
	}
	type predicted struct {
		Score float64 `json:"score"`
		Label string  `json:"label"`
	}
	out := make([][]predicted, len(scores))
	for i, s := range scores {
		out[i] = []predicted{{activated(s, !body.RawScores), "LABEL_0"}}
	}
	if single {
		return out[0], nil
	}
	return out, nil
}
