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
	"strconv"
	"strings"
	"time"
)

const (
	formatName = "cai.rm"
	// formatVersion is that of the file's layout: its tensors and metadata keys.
	formatVersion = 3
	// maxFile bounds the size of a file that is read.
	maxFile = 1 << 32
)

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
		"head":            d.Head,
		"members":         mustJSON(m.memberInfos()),
		"blend":           mustJSON(m.blend),
		"pairs":           strconv.Itoa(d.Pairs),
		"data_hash":       d.DataHash.String(),
	}
	if m.space.hash {
		s["rare_idf"] = formatFloat(float64(m.space.words.rare))
	}
	if m.space.chars != nil {
		s["chars_rare_idf"] = formatFloat(float64(m.space.chars.rare))
	}
	if len(m.space.sources) > 0 {
		s["sources"] = mustJSON(m.space.sources)
		s["source_norm"] = formatFloat(sourceNorm)
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
		s["certainty"] = mustJSON(d.Certainty)
	}
	if d.Profile != nil {
		s["profile"] = mustJSON(d.Profile)
	}
	if len(d.Debias) > 0 {
		s["debias"] = strings.Join(d.Debias, ",")
	}
	if d.Tie > 0 {
		s["tie"] = formatFloat(d.Tie)
	}
	if d.Judge != "" {
		s["judge"] = d.Judge
	}
	if d.Holdout > 0 {
		s["holdout"] = formatFloat(d.Holdout)
	}
	for k, v := range map[string]string{"prompt_key": d.PromptKey, "version": d.Version, "command": d.Command, "holdout_authors": d.HoldoutAuthors} {
		if v != "" {
			s[k] = v
		}
	}
	if len(d.Metrics) > 0 {
		s["metrics"] = string(d.Metrics)
	}
	if !d.Created.IsZero() {
		s["created"] = d.Created.UTC().Format(time.RFC3339)
	}
	return s
}

// mustJSON is for values whose numbers are finite.
func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
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
	s := r.spec()
	d.Features, d.Dim, d.NGrams = s.groups(), s.dim, s.orders
	d.Seed = r.integer("seed", math.MinInt64, math.MaxInt64)
	d.L2 = r.positive("l2")
	d.Temperature = r.positive("temperature")
	d.Head = meta["head"]
	var infos []memberInfo
	r.json("members", &infos)
	r.json("blend", &m.blend)
	d.Pairs = int(r.integer("pairs", 1, math.MaxInt32))
	d.DataHash = r.hash("data_hash")
	d.ConstitutionHash = r.hash("constitution_hash")
	d.Judge = meta["judge"]
	d.Version, d.Command, d.HoldoutAuthors = meta["version"], meta["command"], meta["holdout_authors"]
	if meta["holdout"] != "" {
		if d.Holdout = r.positive("holdout"); d.Holdout >= 0.9 {
			r.fail("holdout", fmt.Errorf("%v is not below 0.9", d.Holdout))
		}
	}
	if d.PromptKey = meta["prompt_key"]; d.PromptKey != "" {
		r.equal("prompt_key", KeyFolded)
	}
	if v := meta["certainty"]; v != "" {
		d.Certainty = &Certainty{}
		r.json("certainty", d.Certainty)
	}
	d.Profile = r.profile()
	if meta["tie"] != "" {
		d.Tie = r.positive("tie")
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
	m.space = r.space(s)
	if r.err != nil {
		return nil, r.err
	}
	if err := m.space.take(tensors); err != nil {
		return nil, err
	}
	if err := m.takeMembers(infos, tensors); err != nil {
		return nil, err
	}
	if len(tensors) > 0 {
		return nil, fmt.Errorf("unknown tensor %q", sortedNames(tensors)[0])
	}
	return m, nil
}
