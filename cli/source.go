package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/rm"
	"cai/store"
)

// Names of features that come from outside rm.
const (
	embedPrefix = "embed:" // a model's embeddings of the prompt and of the reply
	judgePrefix = "judge:" // what a judge said of the reply, by principle
)

// sourceOptions say how sources are opened.
type sourceOptions struct {
	// Keep makes the database where there is none, so that embeddings are kept.
	// Otherwise one that is there is used, and without one what was asked is
	// remembered for the run alone, within embeddingMemory.
	Keep bool
	// Columns are, by a source's name, the columns that a model was trained with:
	// a judge then gives those principles and no others.
	Columns map[string][]string
}

// sources opens those of the feature names that come from outside rm, in their
// order, and leaves the others out. A source's own name is the one to store: it
// is without passwords. The function that it returns must be called at the end;
// it says, as a note, what was asked.
func (a *app) sources(c *urfave.Context, names []string, o sourceOptions) ([]rm.Source, func() error, error) {
	var out []rm.Source
	var closers []func() error
	done := func() error {
		var errs []error
		for _, f := range closers {
			errs = append(errs, f())
		}
		closers = nil
		return errors.Join(errs...)
	}
	var st *store.Store
	opened := false
	database := func() (*store.Store, error) {
		var err error
		if !opened {
			st, err = a.sourceStore(c, o.Keep)
			opened = err == nil
		}
		return st, err
	}
	seen := map[string]bool{}
	for _, name := range names {
		model, embed := strings.CutPrefix(name, embedPrefix)
		who := strings.TrimPrefix(name, judgePrefix)
		if !fromOutside(name) || seen[name] {
			continue
		}
		seen[name] = true
		db, err := database()
		if err == nil {
			var s rm.Source
			if embed {
				var e *embedSource
				if e, err = a.embedSource(c, model, db); err == nil {
					s, closers = e, append(closers, func() error { return a.closeEmbed(c, e) })
				}
			} else {
				s, err = a.judgeSource(c, who, db, o.Columns[name])
			}
			if err == nil {
				out = append(out, s)
				continue
			}
		}
		return nil, nil, errors.Join(fmt.Errorf("feature %s: %w", printable(name), err), done())
	}
	return out, done, nil
}

// fromOutside tells whether a feature is one that [app.sources] opens.
func fromOutside(name string) bool {
	return strings.HasPrefix(name, embedPrefix) || strings.HasPrefix(name, judgePrefix)
}

// sourceStore opens the database for features, nil where there is none and none
// is to be made.
func (a *app) sourceStore(c *urfave.Context, keep bool) (*store.Store, error) {
	if keep {
		return a.store(c)
	}
	st, err := a.existingStore(c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return st, err
}
