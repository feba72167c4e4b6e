package rm

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"cai/dataset"
)

// metaReader reads values from the metadata and keeps the first error.
type metaReader struct {
	meta map[string]string
	err  error
}

func (r *metaReader) fail(key string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("metadata %s: %w", key, err)
	}
}

// json reads a value into v.
func (r *metaReader) json(key string, v any) {
	if err := json.Unmarshal([]byte(r.meta[key]), v); err != nil {
		r.fail(key, err)
	}
}

func (r *metaReader) integer(key string, lo, hi int64) int64 {
	v, err := strconv.ParseInt(r.meta[key], 10, 64)
	if err != nil {
		r.fail(key, err)
	} else if v < lo || v > hi {
		r.fail(key, fmt.Errorf("%d is not from %d to %d", v, lo, hi))
	}
	return v
}

func (r *metaReader) float(key string) float64 {
	v, err := strconv.ParseFloat(r.meta[key], 64)
	if err != nil {
		r.fail(key, err)
	} else if math.IsNaN(v) || math.IsInf(v, 0) {
		r.fail(key, fmt.Errorf("%v is not finite", v))
	}
	return v
}

func (r *metaReader) positive(key string) float64 {
	v := r.float(key)
	if r.err == nil && v <= 0 {
		r.fail(key, fmt.Errorf("%v is not positive", v))
	}
	return v
}

// equal checks a setting that this program has only one value for.
func (r *metaReader) equal(key, want string) {
	if v := r.meta[key]; v != want {
		r.fail(key, fmt.Errorf("%q, this program has %q", v, want))
	}
}

// hash reads a content hash; a missing one is zero.
func (r *metaReader) hash(key string) (h dataset.Hash) {
	v := r.meta[key]
	if v == "" {
		return h
	}
	h, err := dataset.ParseHash(v)
	if err != nil {
		r.fail(key, err)
	}
	return h
}

// profile reads the profile of the replies; nil where there is none, or one of
// another version, which scores do not need.
func (r *metaReader) profile() *Profile {
	if r.meta["profile"] == "" {
		return nil
	}
	p := &Profile{}
	var v struct {
		Version int `json:"version"`
	}
	if r.json("profile", &v); r.err != nil || v.Version != profileVersion {
		return nil
	}
	if r.json("profile", p); r.err != nil {
		return nil
	}
	if err := p.check(); err != nil {
		r.fail("profile", err)
	}
	return p
}
