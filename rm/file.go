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
)

const (
	formatName = "cai.rm"
	// formatVersion is that of the file's layout: its tensors and metadata keys.
	formatVersion = 2
	// maxFile bounds the size of a file that is read: 32 bytes a bucket for
	// the largest Dim, and the rest.
	maxFile = 32*maxDim + 1<<24
)

// The tensors of a model file. Those of the hashed features have a value for
// each known bucket, those of the style features one for each of the names in
// the metadata key "style_names"; the gate's second dimension is that of
// "gated_names".
const (
	tensorIndex         = "hash.index"      // I32, the buckets, each once
	tensorIDF           = "hash.idf"        // F32
	tensorWeight        = "hash.weight"     // F32; each of the first "common" followed by those for the expectation
	tensorVariance      = "hash.variance"   // F32, the same, of the weight's posterior
	tensorStyleMean     = "style.mean"      // F32
	tensorStyleScale    = "style.scale"     // F32, 1 over the standard deviation
	tensorStyleWeight   = "style.weight"    // F32
	tensorStyleVariance = "style.variance"  // F32
	tensorGateIndex     = "gate.index"      // I32, the buckets of prompt words, each once
	tensorGateIDF       = "gate.idf"        // F32
	tensorGateWeight    = "gate.weight"     // F32, buckets × gated style features
	tensorGateVariance  = "gate.variance"   // F32, the same
	tensorExpectWords   = "expect.words"    // F32, gate buckets × expected components
	tensorExpectMean    = "expect.mean"     // F32, one a component
	tensorExpectScale   = "expect.scale"    // F32
	tensorExpectWeight  = "expect.weight"   // F32, style features × components
	tensorExpectVar     = "expect.variance" // F32, the same
)

// tensors gives the model's tensors by name.
func (m *Model) tensors() map[string]tensor {
	t := map[string]tensor{}
	k := m.space.dense()
	if m.space.style {
		t[tensorStyleMean] = tensor{f: m.space.mean}
		t[tensorStyleScale] = tensor{f: m.space.scale}
		t[tensorStyleWeight] = tensor{f: m.weight[:k]}
		t[tensorStyleVariance] = tensor{f: m.variance[:k]}
	}
	if v := m.space.words; v != nil {
		t[tensorIndex] = tensor{i: signed(v.index)}
		t[tensorIDF] = tensor{f: v.idf}
		t[tensorWeight] = tensor{f: m.weight[k:m.space.gates()]}
		t[tensorVariance] = tensor{f: m.variance[k:m.space.gates()]}
	}
	if v := m.space.gate; v != nil {
		t[tensorGateIndex] = tensor{i: signed(v.index)}
		t[tensorGateIDF] = tensor{f: v.idf}
		t[tensorGateWeight] = tensor{f: m.weight[m.space.gates():m.space.expects()], width: len(gated)}
		t[tensorGateVariance] = tensor{f: m.variance[m.space.gates():m.space.expects()], width: len(gated)}
		e := m.space.expect
		t[tensorExpectWords] = tensor{f: e.weight, width: numExpected}
		t[tensorExpectMean] = tensor{f: e.mean[:], width: numExpected}
		t[tensorExpectScale] = tensor{f: e.scale[:], width: numExpected}
		t[tensorExpectWeight] = tensor{f: m.weight[m.space.expects():], width: numExpected}
		t[tensorExpectVar] = tensor{f: m.variance[m.space.expects():], width: numExpected}
	}
	return t
}

// signed gives buckets as the type that every reader of the format knows; they
// are below 2^24.
func signed(index []uint32) []int32 {
	out := make([]int32, len(index))
	for i, b := range index {
		out[i] = int32(b)
	}
	return out
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
		s["rare_idf"] = formatFloat(float64(m.space.words.rare))
	}
	if m.space.style {
		s["style_names"] = strings.Join(styleNames, ",")
		s["style_weight"] = formatFloat(styleWeight)
		s["style_clip"] = formatFloat(styleClip)
	}
	if m.space.gated() {
		s["common"] = strconv.Itoa(m.space.common)
		s["gated_names"] = strings.Join(gated, ",")
		s["gate_weight"] = formatFloat(gateWeight)
		s["expect_clip"] = formatFloat(expectClip)
	}
	if !d.ConstitutionHash.IsZero() {
		s["constitution_hash"] = d.ConstitutionHash.String()
	}
	if d.Certainty != nil {
		b, err := json.Marshal(d.Certainty)
		if err != nil {
			panic(err) // its numbers are finite
		}
		s["certainty"] = string(b)
	}
	if len(d.Debias) > 0 {
		s["debias"] = strings.Join(d.Debias, ",")
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

// encode gives the bytes of the model's file.
func (m *Model) encode() ([]byte, error) {
	if len(m.Metadata.Metrics) > 0 && !json.Valid(m.Metadata.Metrics) {
		return nil, errors.New("the metrics are no JSON")
	}
	tensors, meta := m.tensors(), m.strings()
	names := sortedNames(tensors)
	data := tensorBytes(names, tensors)
	meta[checksumKey] = checksum(meta, data)
	header, err := encodeTensors(names, tensors, meta)
	if err != nil {
		return nil, err
	}
	if len(header) > maxHeader {
		return nil, fmt.Errorf("metadata of %d bytes, at most %d can be read again", len(header), maxHeader)
	}
	return append(header, data...), nil
}

// Save writes the model to a file of the safetensors format, first beside path
// and then renamed, so that there is never half a file under that name.
func (m *Model) Save(path string) (err error) {
	b, err := m.encode()
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
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
	if _, err = f.Write(b); err != nil {
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
	if v := meta["certainty"]; v != "" {
		d.Certainty = &Certainty{}
		if err := json.Unmarshal([]byte(v), d.Certainty); err != nil {
			r.fail("certainty", err)
		}
	}
	if v := meta["debias"]; v != "" {
		d.Debias = strings.Split(v, ",")
	}
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
		m.space.words = &vocab{rare: float32(r.positive("rare_idf"))}
	}
	if s.style {
		r.equal("style_names", strings.Join(styleNames, ","))
		r.equal("style_weight", formatFloat(styleWeight))
		r.equal("style_clip", formatFloat(styleClip))
	}
	if s.gated() {
		m.space.gate = &vocab{}
		m.space.expect = &expectation{words: m.space.gate}
		m.space.common = int(r.integer("common", 0, maxDim))
		r.equal("expect_clip", formatFloat(expectClip))
		r.equal("gated_names", strings.Join(gated, ","))
		r.equal("gate_weight", formatFloat(gateWeight))
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := m.take(tensors); err != nil {
		return nil, err
	}
	return m, nil
}

// wanted is what a tensor of a model file must be.
type wanted struct {
	dtype string
	of    string // the tensor that has a value for each of its rows; "" for the style features, or one
	width int
	least float32 // least value
}

// one says of a tensor that it has one row.
const one = "1"

// wanted gives the tensors that a model with these features has.
func (s spec) wanted() map[string]wanted {
	const lowest = -math.MaxFloat32
	w := map[string]wanted{}
	if s.style {
		w[tensorStyleMean] = wanted{"F32", "", 0, lowest}
		w[tensorStyleScale] = wanted{"F32", "", 0, 0}
		w[tensorStyleWeight] = wanted{"F32", "", 0, lowest}
		w[tensorStyleVariance] = wanted{"F32", "", 0, 0}
	}
	if s.hash {
		w[tensorIndex] = wanted{"I32", tensorIndex, 0, 0}
		w[tensorIDF] = wanted{"F32", tensorIndex, 0, 0}
		w[tensorWeight] = wanted{"F32", tensorIndex, 0, lowest}
		w[tensorVariance] = wanted{"F32", tensorIndex, 0, 0}
	}
	if s.gated() {
		w[tensorGateIndex] = wanted{"I32", tensorGateIndex, 0, 0}
		w[tensorGateIDF] = wanted{"F32", tensorGateIndex, 0, 0}
		w[tensorGateWeight] = wanted{"F32", tensorGateIndex, len(gated), lowest}
		w[tensorGateVariance] = wanted{"F32", tensorGateIndex, len(gated), 0}
		w[tensorExpectWords] = wanted{"F32", tensorGateIndex, numExpected, lowest}
		w[tensorExpectMean] = wanted{"F32", one, numExpected, lowest}
		w[tensorExpectScale] = wanted{"F32", one, numExpected, 0}
		w[tensorExpectWeight] = wanted{"F32", "", numExpected, lowest}
		w[tensorExpectVar] = wanted{"F32", "", numExpected, 0}
	}
	return w
}

// take puts the tensors of a file into the model, whose space has its settings.
func (m *Model) take(tensors map[string]tensor) error {
	s := m.space
	want := s.wanted()
	for _, name := range sortedNames(tensors) {
		if _, ok := want[name]; !ok {
			return fmt.Errorf("unknown tensor %q", name)
		}
	}
	for _, name := range sortedNames(want) {
		if _, ok := tensors[name]; !ok {
			return fmt.Errorf("tensor %q is missing", name)
		}
	}
	for _, name := range sortedNames(want) {
		t, w := tensors[name], want[name]
		size := len(styleNames)
		switch w.of {
		case "":
		case one:
			size = 1
		default:
			size = tensors[w.of].len()
		}
		if name == tensorWeight || name == tensorVariance {
			if s.common > size {
				return fmt.Errorf("metadata common: %d, there are %d buckets", s.common, size)
			}
			size += s.common * numExpected
		}
		size *= max(1, w.width)
		if t.len() != size || t.width != w.width || t.dtype() != w.dtype {
			return fmt.Errorf("tensor %q: %d values of %s in rows of %d, need %d of %s in rows of %d",
				name, t.len(), t.dtype(), max(1, t.width), size, w.dtype, max(1, w.width))
		}
		for i, v := range t.f {
			// Written so that NaN fails; the bounds leave out the infinities.
			if !(v >= w.least && v <= math.MaxFloat32) {
				return fmt.Errorf("tensor %q: value %d is %v, need finite numbers from %v on", name, i, v, w.least)
			}
		}
	}
	s.mean, s.scale = tensors[tensorStyleMean].f, tensors[tensorStyleScale].f
	m.weight = slices.Concat(tensors[tensorStyleWeight].f, tensors[tensorWeight].f, tensors[tensorGateWeight].f, tensors[tensorExpectWeight].f)
	m.variance = slices.Concat(tensors[tensorStyleVariance].f, tensors[tensorVariance].f, tensors[tensorGateVariance].f, tensors[tensorExpectVar].f)
	if s.words != nil {
		s.words.idf = tensors[tensorIDF].f
		if err := s.words.take(tensorIndex, tensors[tensorIndex].i, s.dim); err != nil {
			return err
		}
	}
	if s.gate != nil {
		s.gate.idf = tensors[tensorGateIDF].f
		s.expect.weight = tensors[tensorExpectWords].f
		copy(s.expect.mean[:], tensors[tensorExpectMean].f)
		copy(s.expect.scale[:], tensors[tensorExpectScale].f)
		if err := s.gate.take(tensorGateIndex, tensors[tensorGateIndex].i, s.dim); err != nil {
			return err
		}
	}
	return nil
}

// take takes the buckets of the tensor with the given name.
func (v *vocab) take(name string, buckets []int32, dim int) error {
	v.index = make([]uint32, len(buckets))
	for i, b := range buckets {
		if b < 0 || int(b) >= dim {
			return fmt.Errorf("tensor %q: value %d is %d, need numbers from 0 to %d", name, i, b, dim-1)
		}
		v.index[i] = uint32(b)
	}
	if again := v.lookup(dim); again >= 0 {
		return fmt.Errorf("tensor %q: value %d is %d, which stands there before", name, again, buckets[again])
	}
	return nil
}
