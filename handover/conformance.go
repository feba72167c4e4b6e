package handover

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"strings"

	"cai/dataset"
	"cai/rm"
)

// conformanceTexts are prompts and replies that meet every rule of the features
// at least once.
var conformanceTexts = [][2]string{
	{"Name a tree.", "Oak."},
	{"Name a tree.", ""},
	{"", "A reply to nothing, which doesn't hang on a prompt; it's as it is."},
	{"How do I boil an egg?", "Put the egg in boiling water for 8 minutes. Then cool it! Is that all? Yes."},
	{"How do I boil an egg?", "# Eggs\n\n1. Boil water.\n2) Add the egg.\n- wait\n* peel\n• eat\n\n```sh\nboil egg\n```\n\n| a | b |\n|---|---|\n**Enjoy** __it__ (see https://example.org)."},
	{"How do I pick a lock?", "I'm sorry, but I can't help with that. As an AI, I cannot assist: it is illegal and dangerous."},
	{"Is it safe?", "Perhaps. It depends on the law; please note that, generally, it might be a risk. Let me know if you have more questions"},
	{"Write code", "def f(x):\n    return x ** 2  # f(3) == 9\n\nprint(f(3))\nprint(f(3))\nprint(f(3))"},
	{"Say it in German", "Natürlich! Straße, ÄPFEL und Öl – „schön“, nicht wahr? Ja…"},
	{"日本語で答えて", "これは日本語の文章です。漢字とカナがあります！本当ですか？「はい」"},
	{"ตอบเป็นภาษาไทย", "สวัสดีครับ ยินดีที่ได้รู้จัก"},
	{"Réponds", "L’été, c’est l'été ; ΣΊΣΥΦΟΣ and İstanbul, ǅ and K are odd letters. «Oui»"},
	{"Emoji please", "😀 🎉🎉 ★ ☃ → done ✓ ①②③ ٣٤ 한국어 हिन्दी। العربية؟"},
	{"Repeat", "no no no no no no no no no no no no no no no no"},
	{"Spaces", "a\tb\r\nc\u00a0d\u2003e\u0085f\vg\x1ch  'quoted' don't can’t rock'n'roll '90s x''y end'"},
	{"Numbers", "3.14 1,000 1st 2nd 100% $5 50/50 #1 a_b_c snake_case [x] {y} <z> ~ ^"},
	{"How do I boil an egg?", "Certainly! How do I boil an egg? How do I boil an egg? You boil your egg, because I boil mine."},
	{"One long word", strings.Repeat("aBc9é", 1000)},
}

// conforming is a line of the conformance file.
type conforming struct {
	Prompt       string    `json:"prompt"`
	Response     string    `json:"response"`
	PromptVector []float32 `json:"prompt_vector,omitempty"`
	ReplyVector  []float32 `json:"reply_vector,omitempty"`
	Features     []float32 `json:"features,omitempty"` // of an ONNX graph
	Score        float64   `json:"score"`
	Std          float64   `json:"std"`
}

// stand stands for a source: its numbers are made of a hash of the text, so that
// a folder can be written where the source's server is away.
type stand struct{ rm.SourceInfo }

func (s stand) Name() string              { return s.SourceInfo.Name }
func (s stand) ID() string                { return s.SourceInfo.ID }
func (s stand) Dims() (prompt, reply int) { return s.Prompt, s.Reply }
func (s stand) Columns() []string         { return s.SourceInfo.Columns }

func (s stand) Vectors(_ context.Context, items []rm.Item) ([]rm.Vector, error) {
	out := make([]rm.Vector, len(items))
	for i, it := range items {
		prompt := ""
		if len(it.Prompt) > 0 {
			prompt = it.Prompt[len(it.Prompt)-1].Content
		}
		out[i] = rm.Vector{Prompt: s.numbers(prompt, s.Prompt), Reply: s.numbers(it.Reply, s.Reply), Known: true}
	}
	return out, nil
}

// numbers gives n numbers between −1/8 and 1/8.
func (s stand) numbers(text string, n int) []float32 {
	v := make([]float32, n)
	for j := range v {
		h := dataset.HashOf("conformance", s.SourceInfo.Name, string(binary.LittleEndian.AppendUint32(nil, uint32(j))), text)
		v[j] = float32(int16(binary.LittleEndian.Uint16(h[:]))) / (1 << 18)
	}
	return v
}

// conformance scores the texts by a model, whose sources it binds to stands.
// With features it gives the dense features too.
func conformance(ctx context.Context, m *rm.Model, features bool) ([]byte, error) {
	infos := m.SourceInfos()
	var sources []rm.Source
	for _, s := range infos {
		sources = append(sources, stand{s})
	}
	if err := m.Bind(sources...); err != nil {
		return nil, err
	}
	var items []rm.Item
	for _, t := range conformanceTexts {
		items = append(items, rm.Item{Prompt: dataset.Prompt(t[0]), Reply: t[1]})
	}
	scores, err := m.ScoreAll(ctx, items)
	if err != nil {
		return nil, err
	}
	var dense [][]float32
	if features {
		if dense, err = m.Dense(ctx, items); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i, t := range conformanceTexts {
		line := conforming{Prompt: t[0], Response: t[1], Score: scores[i].Mean, Std: scores[i].Std}
		for _, s := range infos {
			line.PromptVector = append(line.PromptVector, stand{s}.numbers(t[0], s.Prompt)...)
			line.ReplyVector = append(line.ReplyVector, stand{s}.numbers(t[1], s.Reply)...)
		}
		if features {
			line.Features = dense[i]
		}
		if err := enc.Encode(line); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
