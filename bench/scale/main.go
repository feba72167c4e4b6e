// Scale makes large inputs and large stores, to see what cai costs on them.
//
//	go run ./bench/scale pairs -n 1250000 > pairs.jsonl
//	cai label --limit 1 pairs.jsonl          # the store learns the pairs, the judge and the principles
//	go run ./bench/scale fill -db cai.db -from -100 -pairs 100
//
//	go run ./bench/scale first -host URL cai label pairs.jsonl
//
// fill puts a judgment beside every open question of the first judge but those
// of some pairs, which become open where they were not; first runs a command and says when its
// first question came to the server. See bench/scale.sh for the whole.
package main

import (
	"bufio"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "scale: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("use scale pairs, scale fill or scale first")
	}
	switch args[0] {
	case "pairs":
		return pairs(args[1:])
	case "fill":
		return fill(args[1:])
	case "first":
		return first(args[1:])
	}
	return fmt.Errorf("no command %q: use pairs, fill or first", args[0])
}

// pairs writes preference pairs of about 500 bytes, four to a prompt, half of
// them labelled by the other reply.
func pairs(args []string) error {
	f := flag.NewFlagSet("pairs", flag.ContinueOnError)
	n := f.Int("n", 10_000, "how many")
	if err := f.Parse(args); err != nil {
		return err
	}
	w := bufio.NewWriterSize(os.Stdout, 1<<20)
	pad := strings.Repeat("and so it goes on, ", 8)
	for i := range *n {
		good := fmt.Sprintf("Perhaps I can help with number %d, please: %s", i, pad)
		bad := fmt.Sprintf("That is a stupid thing to ask about number %d, %s", i, pad)
		if i%2 == 1 {
			good, bad = bad, good
		}
		fmt.Fprintf(w, `{"prompt":"What shall I do about matter %d? %s","chosen":"%s","rejected":"%s"}`+"\n", i/4, pad[:60], good, bad)
	}
	return w.Flush()
}

// fill adds judgments to a store in one statement, since a commit for each would
// take the disk an hour. Their times and tokens are those of a small model.
func fill(args []string) error {
	f := flag.NewFlagSet("fill", flag.ContinueOnError)
	path := f.String("db", "cai.db", "the store")
	skip := f.Int64("from", -100, "the first pair that is open, counted from 0, or from the end where negative")
	count := f.Int64("pairs", 100, "how many pairs are open")
	if err := f.Parse(args); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+*path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-400000)")
	if err != nil {
		return err
	}
	defer db.Close()
	var first, last int64
	if err := db.QueryRow("SELECT min(id), max(id) FROM pairs").Scan(&first, &last); err != nil {
		return err
	}
	from := first + *skip
	if *skip < 0 {
		from = last + 1 + *skip
	}
	if _, err := db.Exec("DELETE FROM judgments WHERE pair >= ? AND pair < ?", from, from+*count); err != nil {
		return err
	}
	start := time.Now()
	res, err := db.Exec(`INSERT INTO judgments (pair, principle, judge, slot_order, sample, mode,
		lp_first, lp_second, coverage, censored, prompt_tokens, milliseconds, created)
		SELECT p.id, r.principle, j.id, o.o, 0, j.mode,
		       -0.05 * (1 + (p.id * 7 + r.principle * 13 + (o.o = 'ba') * 17) % 30), -0.05 * (1 + (p.id * 11 + r.principle * 5) % 30), 0.9, 0, 150, 40,
		       1700000000000 + p.id
		FROM pairs p
		JOIN (SELECT id, mode FROM judges ORDER BY id LIMIT 1) j
		JOIN (SELECT principle FROM constitution_principles
		      WHERE constitution = (SELECT id FROM constitutions ORDER BY used DESC LIMIT 1)) r
		JOIN (SELECT 'ab' AS o UNION ALL SELECT 'ba') o
		WHERE p.id < ? OR p.id >= ? ORDER BY p.id
		ON CONFLICT DO NOTHING`, from, from+*count)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "scale: %d judgments in %.0f s; %d pairs from %d on are open\n", n, time.Since(start).Seconds(), *count, from-first)
	return nil
}
