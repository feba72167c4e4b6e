package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"cai/dataset"
	"cai/label"
	"cai/llm"
	"cai/store"
)

// remembered is a model whose answers are kept in the store, so that a command
// that was interrupted, or is run again, asks nothing twice. The key is the
// model's weights, the options that change answers, and the whole request.
type remembered struct {
	*model
	store *store.Store
	again bool // ask again where the answer of an older version cannot be used
	calls int  // that reached the model
	hits  int
}

func (a *app) remember(m *model, st *store.Store) *remembered {
	return &remembered{model: m, store: st, again: true}
}

// Chat answers from the store, or asks the model and keeps its answer.
func (r *remembered) Chat(ctx context.Context, req llm.Request) (*llm.Reply, error) {
	reply, asked, err := r.answer(ctx, req, r.Client, nil)
	if asked {
		r.calls++
	}
	if asked || err != nil {
		return reply, err
	}
	r.hits++
	reply.Duration = 0
	if req.OnText != nil {
		req.OnText(reply.Text)
	}
	return reply, nil
}

// answer answers from the store, or has the model asked unless the user wants to
// stop, and keeps its answer.
func (r *remembered) answer(ctx context.Context, req llm.Request, m llm.Chatter, stop <-chan struct{}) (_ *llm.Reply, asked bool, _ error) {
	key, err := r.key(req)
	if err != nil {
		return nil, false, err
	}
	data, doubtful, ok, err := r.store.Answer(ctx, key)
	if err != nil {
		return nil, false, err
	}
	if doubtful && !r.again {
		return nil, false, &llm.Error{
			Kind: llm.KindOffFormat, Op: "read the answer",
			Err: errors.New("an older version of cai kept one that cannot be used"), Hint: "--retry-failed asks again",
		}
	}
	if ok && !doubtful {
		reply := &llm.Reply{}
		if err := json.Unmarshal(data, reply); err != nil {
			return nil, false, fmt.Errorf("stored answer %s: %w", key, err)
		}
		// Earlier versions kept thoughts, too, of which some are the whole reply.
		if err := reply.Settle(); err == nil || !r.again {
			return reply, false, err
		}
	}
	select {
	case <-stop:
		return nil, false, label.ErrStopped
	default:
	}
	reply, err := m.Chat(ctx, req)
	if err != nil {
		return nil, true, err
	}
	if data, err = json.Marshal(reply); err != nil {
		return nil, true, err
	}
	return reply, true, r.store.PutAnswer(context.WithoutCancel(ctx), key, data)
}

// todaysRules are those by which the answers that an older version stored are
// told from those that cannot be used.
var todaysRules = store.Rules{
	Thinks: func(text string) bool {
		_, answer, closed := llm.Thoughts(text)
		return !closed || answer != text
	},
	Refuses: func(answer []byte) bool {
		var r llm.Reply
		if json.Unmarshal(answer, &r) != nil {
			return false // reading it says so
		}
		readOut := len(r.Tokens) > 0
		if r.Settle() != nil {
			return true
		}
		if !readOut {
			return false
		}
		// A read-out of marks alone is followed by another question.
		d, err := r.Distribution("A", "B")
		return err != nil || d.Coverage == 0 && strings.IndexFunc(r.Text, func(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }) >= 0
	},
}

func (r *remembered) key(req llm.Request) (dataset.Hash, error) {
	id := r.id.Digest
	if id == "" {
		id = r.id.Model
	}
	options, err := json.Marshal(r.options)
	if err != nil {
		return dataset.Hash{}, err
	}
	parts := []string{
		r.id.Backend, id, string(options),
		strconv.Itoa(req.MaxTokens), strconv.Itoa(req.TopLogprobs),
		strconv.FormatFloat(req.Temperature, 'g', -1, 64), strconv.Itoa(req.Seed), strconv.Itoa(len(req.Stop)),
	}
	parts = append(parts, req.Stop...)
	for _, m := range req.Messages {
		parts = append(parts, m.Role, m.Content)
	}
	if len(req.Format) > 0 || req.Think {
		parts = append(parts, "format", string(req.Format), strconv.FormatBool(req.Think)) // no message has this role
	}
	if req.ThinkTokens > 0 {
		parts = append(parts, "think", strconv.Itoa(req.ThinkTokens))
	}
	return dataset.HashOf("answer", parts...), nil
}
