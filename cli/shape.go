package cli

import (
	"cmp"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/debate"
	"cai/judge"
)

// shapeFlag names the wording of comparisons.
func shapeFlag() urfave.Flag {
	return &urfave.StringFlag{
		Name: "shape", Value: judge.DefaultShape().Name,
		Usage: fmt.Sprintf("the judge's prompt: %s; cai doctor says which suits the model; another is another judge (`NAME`)", strings.Join(judge.ShapeNames(), ", ")),
	}
}

func shapeOf(c *urfave.Context) (judge.Shape, error) {
	s, err := judge.ParseShape(c.String("shape"))
	if err != nil {
		return s, &exitError{code: ExitUsage, err: err}
	}
	return s, nil
}

// shapeText names the shape of a stored judge, or the protocol of one that hears
// debates; a dash stands for one that asks no comparisons, or in words of another
// version.
func shapeText(template string) string {
	return cmp.Or(judge.ShapeOf(template), debate.ProtocolOf(template), "-")
}
