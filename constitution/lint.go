package constitution

// Finding is one thing that lint has to say.
type Finding struct {
	Line      int    `json:"line"`
	Severity  string `json:"severity"` // error, warning or info
	Principle string `json:"principle"`
	Rule      string `json:"rule"`
	Message   string `json:"message"`
	Hint      string `json:"hint"`
}

// LintHelp explains the rules.
const LintHelp = "lint"

// Lint gives what is likely to hurt judging.
func (c *Constitution) Lint() []Finding { return nil }
