package dataset_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cai/dataset"
)

func TestChosenPairsOfAList(t *testing.T) {
	const in = `{"prompt":"p","responses":["a","b","c","d"]}` + "\n" +
		`{"prompt":"q","responses":["a","b"]}` + "\n" +
		`{"prompt":"r","responses":["e","f","g"]}` + "\n"
	var asked []string
	choose := func(prompt dataset.Conversation, replies []dataset.Response) ([][2]int, error) {
		text, _ := prompt.Text()
		asked = append(asked, text)
		if len(replies) == 4 {
			return [][2]int{{2, 3}, {0, 2}}, nil
		}
		return nil, nil
	}
	read := func(o dataset.ReadOptions) (got []string, err error) {
		o.Stdin = strings.NewReader(in)
		for p, err := range dataset.Pairs("-", o) {
			if err != nil {
				return got, err
			}
			got = append(got, p.First.Text+p.Second.Text)
		}
		return got, nil
	}
	got, err := read(dataset.ReadOptions{Pairs: 2, Choose: choose})
	if diff := cmp.Diff([]string{"ac", "cd", "ab"}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"p", "r"}, asked); diff != "" {
		t.Errorf("asked of lists with more pairs than wanted:\n%s", diff)
	}
	broken := errors.New("broken")
	got, err = read(dataset.ReadOptions{Pairs: 2, Choose: func(dataset.Conversation, []dataset.Response) ([][2]int, error) { return nil, broken }})
	if !errors.Is(err, broken) || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// Of a list with chosen replies, the pairs are those of chosen with rejected.
func TestAListWithChosenRepliesIsNotChosenFrom(t *testing.T) {
	in := `{"prompt":"p","chosen":["a","b"],"rejected":["c","d"]}` + "\n"
	n := 0
	for _, err := range dataset.Pairs("-", dataset.ReadOptions{Pairs: 3, Stdin: strings.NewReader(in), Choose: func(dataset.Conversation, []dataset.Response) ([][2]int, error) {
		return nil, errors.New("asked")
	}}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d pairs, want 3", n)
	}
}
