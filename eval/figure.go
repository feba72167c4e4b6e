package eval

import (
	"encoding/json"
	"math"
	"strconv"
)

// Figure is a number of a report. It is NaN where there is nothing to compute
// it from, such as the accuracy over no pairs, and is then null in JSON.
type Figure float64

// Defined tells whether the figure could be computed.
func (f Figure) Defined() bool {
	return !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0)
}

// MarshalJSON writes the number, or null.
func (f Figure) MarshalJSON() ([]byte, error) {
	if !f.Defined() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Figure) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*f = Figure(math.NaN())
		return nil
	}
	var v float64
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*f = Figure(v)
	return nil
}

// String gives three decimals, the precision that a table wants, or "–".
func (f Figure) String() string {
	if !f.Defined() {
		return "–"
	}
	return strconv.FormatFloat(float64(f), 'f', 3, 64)
}

// Interval is the low and the high end of a 95 % interval; a JSON array.
type Interval [2]float64

// Contains tells whether x lies in the interval, ends included.
func (i Interval) Contains(x float64) bool { return i[0] <= x && x <= i[1] }

// String gives "[0.612, 0.689]".
func (i Interval) String() string {
	return "[" + Figure(i[0]).String() + ", " + Figure(i[1]).String() + "]"
}
