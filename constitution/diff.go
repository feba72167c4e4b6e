package constitution

// Change is one difference between two constitutions.
type Change struct {
	Kind   string  `json:"kind"` // added, removed, changed or renamed
	ID     string  `json:"id"`
	Fields []Field `json:"fields"`
}

// Field is one field's old and new text.
type Field struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// Diff gives what changed from a to b.
func Diff(a, b *Constitution) []Change { return nil }
