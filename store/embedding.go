package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"cai/dataset"
)

const (
	// embeddingsRead is how many vectors are looked up in one query.
	embeddingsRead = 256
	// embeddingsWrite is how many are one addition, which is stored whole or not
	// at all.
	embeddingsWrite = 256
)

// TextHash is what a text is known by among the embeddings.
func TextHash(text string) dataset.Hash { return dataset.HashOf("text", text) }

// PutEmbeddings stores what a model, known to the store as a judge, made of
// texts: vectors[i] of the text with the hash texts[i]. It returns when all is
// durable. The first vector of a text stays. All vectors of a model are of one
// length; where these are not, nothing is stored of them.
func (s *Store) PutEmbeddings(ctx context.Context, model dataset.Hash, texts []dataset.Hash, vectors [][]float32) error {
	if len(texts) != len(vectors) {
		return fmt.Errorf("store embeddings: %d vectors for %d texts", len(vectors), len(texts))
	}
	for i, v := range vectors {
		if len(v) == 0 || len(v) != len(vectors[0]) {
			return fmt.Errorf("store embeddings: a vector of %d numbers beside one of %d", len(v), len(vectors[0]))
		}
		for _, x := range v {
			if !finite(float64(x)) {
				return fmt.Errorf("store embeddings: that of text %s holds %g", texts[i], x)
			}
		}
	}
	row, ok, err := s.judge(ctx, model)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("store embeddings: model %s is not in %s", model, s.path)
	}
	for len(texts) > 0 {
		n := min(len(texts), embeddingsWrite)
		if err := s.putEmbeddings(ctx, row.id, texts[:n], vectors[:n]); err != nil {
			return err
		}
		texts, vectors = texts[n:], vectors[n:]
	}
	return nil
}

func (s *Store) putEmbeddings(ctx context.Context, model int64, texts []dataset.Hash, vectors [][]float32) error {
	dim := len(vectors[0])
	blobs := make([][]byte, len(vectors))
	for i, v := range vectors {
		blobs[i] = make([]byte, 0, 4*dim)
		for _, x := range v {
			blobs[i] = binary.LittleEndian.AppendUint32(blobs[i], math.Float32bits(x))
		}
	}
	return s.write(ctx, "store embeddings", func(t *tx) error {
		var before int
		found, err := t.one("SELECT dim FROM embeddings WHERE model = ? LIMIT 1", []any{model}, &before)
		if err != nil {
			return err
		}
		if found && before != dim {
			return refuse("store embeddings: these have %d numbers, those before %d", dim, before)
		}
		for i := range texts {
			if _, err := t.exec("INSERT INTO embeddings (model, text, dim, vector) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
				model, texts[i][:], dim, blobs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Embeddings gives what a model made of each of the texts, nil for those that it
// has not seen.
func (s *Store) Embeddings(ctx context.Context, model dataset.Hash, texts []dataset.Hash) ([][]float32, error) {
	out := make([][]float32, len(texts))
	row, ok, err := s.judge(ctx, model)
	if err != nil || !ok {
		return out, err
	}
	at := map[dataset.Hash][]int{}
	for from := 0; from < len(texts); from += embeddingsRead {
		part := texts[from:min(len(texts), from+embeddingsRead)]
		clear(at)
		for i, h := range part {
			at[h] = append(at[h], from+i)
		}
		err := s.embeddings(ctx, row.id, part, func(h dataset.Hash, v []float32) {
			for _, i := range at[h] {
				out[i] = v
			}
		})
		if err != nil {
			return nil, s.failed("read embeddings", err)
		}
	}
	return out, nil
}

func (s *Store) embeddings(ctx context.Context, model int64, texts []dataset.Hash, take func(dataset.Hash, []float32)) error {
	args := []any{model}
	for i := range texts {
		args = append(args, texts[i][:])
	}
	rows, err := s.read.QueryContext(ctx,
		"SELECT text, vector FROM embeddings WHERE model = ? AND text IN (?"+strings.Repeat(", ?", len(texts)-1)+")", args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var h dataset.Hash
		var blob sql.RawBytes
		if err := rows.Scan(hashInto(&h), &blob); err != nil {
			return err
		}
		v := make([]float32, len(blob)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(blob[4*i:]))
		}
		take(h, v)
	}
	return rows.Err()
}

// EmbeddingDim gives the length of a model's vectors, 0 where there are none.
func (s *Store) EmbeddingDim(ctx context.Context, model dataset.Hash) (int, error) {
	row, ok, err := s.judge(ctx, model)
	if err != nil || !ok {
		return 0, err
	}
	var dim int
	err = s.read.QueryRowContext(ctx, "SELECT dim FROM embeddings WHERE model = ? LIMIT 1", row.id).Scan(&dim)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return dim, s.failed("read embeddings", err)
}

// Embedder finds the model that last made embeddings under a name.
func (s *Store) Embedder(ctx context.Context, name string) (dataset.Judge, bool, error) {
	all, err := s.Judges(ctx)
	for _, j := range slices.Backward(all) {
		if j.Mode == EmbedMode && j.Model == name {
			return j.Judge, true, err
		}
	}
	return dataset.Judge{}, false, err
}

// EmbedMode is the mode of the judges that make embeddings.
const EmbedMode = "embed"
