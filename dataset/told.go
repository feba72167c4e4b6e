package dataset

// ToldKind is what a [Told] is about.
type ToldKind int

const (
	// ToldFormat is the format that was found, with what in the columns told it.
	ToldFormat ToldKind = iota
	// ToldReading is how the file is read where another reading was possible.
	ToldReading
	// ToldUnread is a column that may belong to the prompt and is not read into it.
	ToldUnread
	// ToldWarning is anything else that its author should know.
	ToldWarning
)

// Told is something that reading found out about a file, for people.
type Told struct {
	File string
	Kind ToldKind
	// Format is set with ToldFormat, Column with ToldUnread.
	Format, Column string
	Text           string
}

// UndecidedError tells that a file can be read in several ways, of which its user
// has to choose one. It ends the sequence.
type UndecidedError struct {
	File, Column, Reason string
	// What would decide it: items for [ParseScales] and [ParseColumns], each list
	// joined by commas, and the name of a format.
	Scales, Columns []string
	Format          string
}

// Error gives "file: reason".
func (e *UndecidedError) Error() string { return e.File + ": " + e.Reason }
