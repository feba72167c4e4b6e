package rm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cai/dataset"
)

const (
	formatName = "cai.rm"
	// formatVersion is that of the file's layout: its tensors and metadata keys.
	formatVersion = 1
	// maxFile bounds the size of a file that is read: 16 bytes a bucket for
	// the largest Dim, and the rest.
	maxFile = 16*maxDim + 1<<24
)

// The tensors of a model file. Those of the hashed features have a value for
// each known bucket, those of the style features one for each of the names in
// the metadata key "style_names".
const (
	tensorIndex         = "hash.index"     // I32, the buckets, ascending
	tensorIDF           = "hash.idf"       // F32
	tensorWeight        = "hash.weight"    // F32
	tensorVariance      = "hash.variance"  // F32, of the weight's posterior
	tensorStyleMean     = "style.mean"     // F32
	tensorStyleScale    = "style.scale"    // F32, 1 over the standard deviation
	tensorStyleWeight   = "style.weight"   // F32
	tensorStyleVariance = "style.variance" // F32
)

// tensors gives the model's tensors by name.
func (m *Model) tensors() map[string]tensor {
	t := map[string]tensor{}
	k := m.space.styles()
	if m.space.style {
		t[tensorStyleMean] = tensor{f: m.space.mean}
		t[tensorStyleScale] = tensor{f: m.space.scale}
		t[tensorStyleWeight] = tensor{f: m.weight[:k]}
		t[tensorStyleVariance] = tensor{f: m.variance[:k]}
	}
	if m.space.hash {
		index := make([]int32, len(m.space.index))
		for i, b := range m.space.index {
			index[i] = int32(b)
		}
		t[tensorIndex] = tensor{i: index}
		t[tensorIDF] = tensor{f: m.space.idf}
		t[tensorWeight] = tensor{f: m.weight[k:]}
		t[tensorVariance] = tensor{f: m.variance[k:]}
	}
	return t
}

func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// strings gives the metadata of the file but for its checksum. What scores
// need beside the tensors stands here in full precision.
func (m *Model) strings() map[string]string {
	d := m.Metadata
	s := map[string]string{
		"format":          formatName,
		"format_version":  strconv.Itoa(formatVersion),
		"feature_version": strconv.Itoa(featureVersion),
		"features":        m.space.spec.String(),
		"dim":             strconv.Itoa(m.space.dim),
		"ngrams":          strconv.Itoa(m.space.orders),
		"seed":            strconv.FormatInt(d.Seed, 10),
		"l2":              formatFloat(d.L2),
		"temperature":     formatFloat(d.Temperature),
		"offset":          formatFloat(m.offset),
		"prior_variance":  formatFloat(m.prior),
		"pairs":           strconv.Itoa(d.Pairs),
		"data_hash":       d.DataHash.String(),
	}
	if m.space.hash {
		s["rare_idf"] = formatFloat(float64(m.space.rare))
	}
	if m.space.style {
		s["style_names"] = strings.Join(styleNames, ",")
		s["style_weight"] = formatFloat(styleWeight)
	}
	if !d.ConstitutionHash.IsZero() {
		s["constitution_hash"] = d.ConstitutionHash.String()
	}
	if d.Judge != "" {
		s["judge"] = d.Judge
	}
	if len(d.Metrics) > 0 {
		s["metrics"] = string(d.Metrics)
	}
	if !d.Created.IsZero() {
		s["created"] = d.Created.UTC().Format(time.RFC3339)
	}
	return s
}

const checksumKey = "sha256"

// checksum covers the metadata, each key and value with its length, and the
// data section.
func checksum(meta map[string]string, data []byte) string {
	h := sha256.New()
	for _, k := range sortedNames(meta) {
		if k != checksumKey {
			fmt.Fprintf(h, "%d:%s%d:%s", len(k), k, len(meta[k]), meta[k])
		}
	}
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// Save writes the model to a file of the safetensors format, first beside path
// and then renamed, so that there is never half a file under that name.
func (m *Model) Save(path string) (err error) {
	if len(m.Metadata.Metrics) > 0 && !json.Valid(m.Metadata.Metrics) {
		return fmt.Errorf("save %s: the metrics are no JSON", path)
	}
	tensors, meta := m.tensors(), m.strings()
	names := sortedNames(tensors)
	data := tensorBytes(names, tensors)
	meta[checksumKey] = checksum(meta, data)
	header, err := encodeTensors(names, tensors, meta)
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	if len(header) > maxHeader {
		return fmt.Errorf("save %s: metadata of %d bytes, at most %d can be read again", path, len(header), maxHeader)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("save %s: %w", path, err)
		}
	}()
	if _, err = f.Write(header); err != nil {
		return err
	}
	if _, err = f.Write(data); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if old, e := os.Stat(path); e == nil {
		mode = old.Mode().Perm()
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Load reads a model that [Model.Save] wrote. It checks the whole file: its
// layout, the checksum, versions and feature settings, the tensors' sizes, and
// that every number in it is finite.
func Load(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load reward model: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("load reward model %s: %w", path, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("load reward model %s: more than %d bytes", path, maxFile)
	}
	m, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("load reward model %s: %w", path, err)
	}
	return m, nil
}

// parse reads the bytes of a model file.
func parse(b []byte) (*Model, error) {
	tensors, meta, data, err := decodeTensors(b)
	if err != nil {
		return nil, err
	}
	if meta["format"] != formatName {
		return nil, fmt.Errorf("a safetensors file, but no reward model of cai (format %q)", meta["format"])
	}
	if v := meta["format_version"]; v != strconv.Itoa(formatVersion) {
		return nil, fmt.Errorf("format version %q, this program reads %d", v, formatVersion)
	}
	if v := meta["feature_version"]; v != strconv.Itoa(featureVersion) {
		return nil, fmt.Errorf("feature version %q, this program has %d", v, featureVersion)
	}
	if sum := checksum(meta, data); meta[checksumKey] != sum {
		return nil, errors.New("wrong checksum: the file was changed or damaged")
	}
	r := metaReader{meta: meta}
	m := &Model{}
	d := &m.Metadata
	d.FormatVersion, d.FeatureVersion = formatVersion, featureVersion
	s := spec{orders: int(r.integer("ngrams", 0, 8)), dim: int(r.integer("dim", 0, maxDim))}
	for _, g := range strings.Split(meta["features"], ",") {
		switch g {
		case FeatureHash:
			s.hash = true
		case FeatureStyle:
			s.style = true
		default:
			r.fail("features", fmt.Errorf("unknown group %q", g))
		}
	}
	switch {
	case s.String() != meta["features"]:
		r.fail("features", fmt.Errorf("%q is not in order", meta["features"]))
	case s.hash && (s.dim < minDim || s.dim&(s.dim-1) != 0):
		r.fail("dim", fmt.Errorf("%d is no power of two of at least %d", s.dim, minDim))
	case s.hash != (s.orders > 0) || s.hash != (s.dim > 0):
		r.fail("ngrams", fmt.Errorf("%d, dim %d with features %s", s.orders, s.dim, s))
	}
	d.Features, d.Dim, d.NGrams = s.groups(), s.dim, s.orders
	d.Seed = r.integer("seed", math.MinInt64, math.MaxInt64)
	d.L2 = r.positive("l2")
	d.Temperature = r.positive("temperature")
	m.offset = r.float("offset")
	m.prior = r.positive("prior_variance")
	d.Pairs = int(r.integer("pairs", 1, math.MaxInt32))
	d.DataHash = r.hash("data_hash")
	d.ConstitutionHash = r.hash("constitution_hash")
	d.Judge = meta["judge"]
	if v := meta["metrics"]; v != "" {
		if !json.Valid([]byte(v)) {
			r.fail("metrics", errors.New("no JSON"))
		}
		d.Metrics = json.RawMessage(v)
	}
	if v := meta["created"]; v != "" {
		if d.Created, err = time.Parse(time.RFC3339, v); err != nil {
			r.fail("created", err)
		}
	}
	m.space = &space{spec: s}
	if s.hash {
		m.space.rare = float32(r.positive("rare_idf"))
	}
	if s.style {
		if meta["style_names"] != strings.Join(styleNames, ",") {
			r.fail("style_names", errors.New("other style features than this program's"))
		}
		if v := r.float("style_weight"); r.err == nil && v != styleWeight {
			r.fail("style_weight", fmt.Errorf("%v, this program has %v", v, styleWeight))
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := m.take(tensors); err != nil {
		return nil, err
	}
	return m, nil
}

// take puts the tensors of a file into the model, whose space has its settings.
func (m *Model) take(tensors map[string]tensor) error {
	s := m.space
	want := map[string]string{}
	if s.style {
		for _, n := range []string{tensorStyleMean, tensorStyleScale, tensorStyleWeight, tensorStyleVariance} {
			want[n] = "F32"
		}
	}
	if s.hash {
		for _, n := range []string{tensorIDF, tensorWeight, tensorVariance} {
			want[n] = "F32"
		}
		want[tensorIndex] = "I32"
	}
	for _, name := range sortedNames(tensors) {
		if want[name] == "" {
			return fmt.Errorf("unknown tensor %q", name)
		}
	}
	for _, name := range sortedNames(want) {
		t, ok := tensors[name]
		if !ok {
			return fmt.Errorf("tensor %q is missing", name)
		}
		size := len(styleNames)
		if strings.HasPrefix(name, "hash.") {
			size = tensors[tensorIndex].len()
		}
		if t.len() != size || (t.i != nil) != (want[name] == "I32") {
			return fmt.Errorf("tensor %q: %d values of %s, need %d of %s", name, t.len(), t.dtype(), size, want[name])
		}
		for i, v := range t.f {
			if v64 := float64(v); math.IsNaN(v64) || math.IsInf(v64, 0) {
				return fmt.Errorf("tensor %q: value %d is not finite", name, i)
			}
			if v < 0 && name != tensorWeight && name != tensorStyleWeight && name != tensorStyleMean {
				return fmt.Errorf("tensor %q: value %d is negative", name, i)
			}
		}
	}
	s.mean, s.scale = tensors[tensorStyleMean].f, tensors[tensorStyleScale].f
	m.weight = slices.Concat(tensors[tensorStyleWeight].f, tensors[tensorWeight].f)
	m.variance = slices.Concat(tensors[tensorStyleVariance].f, tensors[tensorVariance].f)
	if s.hash {
		s.idf = tensors[tensorIDF].f
		last := int32(-1)
		for i, b := range tensors[tensorIndex].i {
			if b <= last || int(b) >= s.dim {
				return fmt.Errorf("tensor %q: value %d is %d, need ascending numbers below %d", tensorIndex, i, b, s.dim)
			}
			last = b
			s.index = append(s.index, uint32(b))
		}
		s.lookup()
	}
	return nil
}

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
