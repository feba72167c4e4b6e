package handover

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"cai/rm"
)

// The forms of a model that is handed over.
const (
	Python      = "python"      // weights, settings and a reader in Python
	Safetensors = "safetensors" // weights and settings
	ONNX        = "onnx"        // a graph from dense features to the score
)

// Formats are the forms.
func Formats() []string { return []string{Python, Safetensors, ONNX} }

//go:embed cai_rm.py
var reader []byte

// Options say how a model is handed over.
type Options struct {
	Format  string
	License string // for the card, an identifier of the Hugging Face Hub
	Version string // of this program
}

// ErrForm tells that a model cannot be handed over in a form.
var ErrForm = errors.New("no model of this kind")

// Write writes the model in file to the folder dir, which must not be there: to
// a folder beside it, which gets its name when it is whole.
func Write(ctx context.Context, file, dir string, o Options) (err error) {
	m, err := rm.Load(file)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("export to %s: %w", dir, fs.ErrExist)
	}
	files := map[string][]byte{}
	if files["conformance.jsonl"], err = conformance(ctx, m, o.Format == ONNX); err != nil {
		return fmt.Errorf("export %s: %w", file, err)
	}
	switch o.Format {
	case ONNX:
		a, err := m.Affine()
		if err != nil {
			return fmt.Errorf("export %s as onnx: %w: %w", file, ErrForm, err)
		}
		files["model.onnx"] = onnx(a, "cai", [][2]string{{"data_hash", m.Metadata.DataHash.String()}, {"cai_version", o.Version}})
		if files["inputs.json"], err = json.Marshal(a.Names); err != nil {
			return err
		}
	case Python, Safetensors:
		if files["model.safetensors"], err = os.ReadFile(file); err != nil {
			return err
		}
		if files["features.json"], err = json.Marshal(rm.FeatureSettings()); err != nil {
			return err
		}
		if o.Format == Python {
			files["cai_rm.py"] = reader
		}
	default:
		return fmt.Errorf("export: no form %q", o.Format)
	}
	files["README.md"] = modelCard(m, filepath.Base(dir), o)
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(tmp, name), b, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}
