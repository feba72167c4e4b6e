package cli

import (
	"errors"
	"math"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/rm"
)

// leastLimit is the least bound that the collector is told of, in bytes.
const leastLimit = 64 << 20

// memoryFlag bounds what a training holds.
func memoryFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "memory", Value: "2GB", Usage: "hold at most `SIZE`, such as 500MB: features beyond go to temporary files beside --out"}
}

// memoryOptions reads the flag into o. A bound that was asked for is told to the
// collector of garbage as well, to which there is none otherwise.
func memoryOptions(c *urfave.Context, o *rm.Options) (undo func(), err error) {
	n, err := parseSize(c.String("memory"))
	if err != nil {
		return nil, hinted(usagef("--memory %s: %v", c.String("memory"), err), "write a number with MB or GB behind it, such as 500MB")
	}
	o.Memory, o.TempDir = n, filepath.Dir(c.String("out"))
	if !c.IsSet("memory") {
		return func() {}, nil
	}
	// The program itself takes some. With less than leastLimit the collector would
	// do little else than run.
	before := debug.SetMemoryLimit(max(n-n/8, leastLimit))
	return func() { debug.SetMemoryLimit(before) }, nil
}

// memoryHint adds what helps where the memory or the disk is too small.
func memoryHint(err error) error {
	var spill *rm.SpillError
	switch {
	case errors.As(err, &spill):
		return hinted(err, "make room there, put --out on another disk, or give a larger --memory")
	case errors.Is(err, rm.ErrMemory):
		return hinted(err, "give a larger --memory, or use --head linear")
	}
	return err
}

// parseSize reads a number of bytes: with k, M, G and T for powers of 1000, or
// with an i behind for those of 1024, and B or not.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BbIiKkMmGgTt ")
	unit := strings.ToLower(strings.TrimSpace(s[len(digits):]))
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(v > 0) {
		return 0, errors.New("not a number above 0 with a unit")
	}
	unit = strings.TrimSuffix(unit, "b")
	base := 1000.0
	if short, ok := strings.CutSuffix(unit, "i"); ok && short != "" {
		unit, base = short, 1024
	}
	power := strings.Index("kmgt", unit) + 1
	if unit == "" {
		power = 0
	}
	if len(unit) > 1 || unit != "" && power == 0 {
		return 0, errors.New("not a number above 0 with a unit")
	}
	v *= math.Pow(base, float64(power))
	if v < 1 || v >= math.MaxInt64 {
		return 0, errors.New("not a size that a machine can have")
	}
	return int64(v), nil
}
