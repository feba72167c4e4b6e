package dataset

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	pformat "github.com/parquet-go/parquet-go/format"
)

// leafKind tells how the values of a leaf are to be read, and in which unit.
func leafKind(t parquet.Type) (kind byte, unit int64) {
	if lt := t.LogicalType(); lt != nil {
		switch l := lt.Value.(type) {
		case *pformat.DecimalType:
			return 'd', int64(l.Scale)
		case *pformat.IntType:
			if !l.IsSigned {
				return 'u', 0
			}
		case *pformat.Float16Type:
			return 'h', 0
		case *pformat.DateType:
			return 'D', 0
		case *pformat.TimestampType:
			if l.Unit.Value != nil {
				return 'T', int64(l.Unit.Value.Duration())
			}
		case *pformat.UUIDType:
			return '0', 0
		}
	}
	if k := t.Kind(); k == parquet.ByteArray || k == parquet.FixedLenByteArray {
		return '"', 0
	}
	return '0', 0
}

// appendLogical writes a value whose bits say less than its type: a decimal number,
// an integer without a sign, half a float, a time or a day.
func (c *column) appendLogical(b []byte, v parquet.Value) ([]byte, error) {
	n, whole := int64(0), true
	switch v.Kind() {
	case parquet.Int32:
		n = int64(v.Int32())
	case parquet.Int64:
		n = v.Int64()
	default:
		whole = false
	}
	switch {
	case c.kind == 'd':
		unscaled := big.NewInt(n)
		if !whole {
			unscaled = signed(v.ByteArray())
		}
		return append(b, decimal(unscaled, int(c.unit))...), nil
	case c.kind == 'h' && len(v.ByteArray()) == 2:
		return append(b, jsonFloat(half(binary.LittleEndian.Uint16(v.ByteArray())))...), nil
	case !whole:
	case c.kind == 'u' && v.Kind() == parquet.Int32:
		return strconv.AppendUint(b, uint64(uint32(n)), 10), nil
	case c.kind == 'u':
		return strconv.AppendUint(b, uint64(n), 10), nil
	case c.kind == 'D':
		return append(b, quote(time.Unix(0, 0).UTC().AddDate(0, 0, int(n)).Format(time.DateOnly))...), nil
	case c.kind == 'T':
		per := int64(time.Second) / c.unit
		at := time.Unix(n/per, n%per*c.unit).UTC()
		return append(b, quote(at.Format("2006-01-02T15:04:05.999999999Z"))...), nil
	}
	return b, fmt.Errorf("a value of the type %s is not read here", v.Kind())
}

// signed reads an integer in two's complement, the highest byte first.
func signed(b []byte) *big.Int {
	x := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return x
}

// decimal writes x / 10^scale.
func decimal(x *big.Int, scale int) string {
	if scale <= 0 {
		return x.String()
	}
	digits := new(big.Int).Abs(x).String()
	for len(digits) <= scale {
		digits = "0" + digits
	}
	sign := ""
	if x.Sign() < 0 {
		sign = "-"
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

// half reads a float of 16 bits (IEEE 754).
func half(bits uint16) float64 {
	sign, exponent, fraction := 1.0, int(bits>>10&0x1f), float64(bits&0x3ff)
	if bits&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 0x1f:
		return math.NaN() // or infinite, neither of which JSON has
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// ours takes what the writer here has noted beside the schema.
func (c *column) ours(f *parquet.File) error {
	_, c.spilled = f.Lookup(extraKey)
	text, ok := f.Lookup(jsonKey)
	if !ok {
		return nil
	}
	var leaves []int
	if err := json.Unmarshal([]byte(text), &leaves); err != nil {
		return fmt.Errorf("the metadata %s: %w", jsonKey, err)
	}
	slices.Sort(leaves)
	c.texts(leaves)
	return nil
}

// texts marks the leaves that hold JSON.
func (c *column) texts(leaves []int) {
	switch {
	case c.elem != nil:
		c.elem.texts(leaves)
	case c.kind == '"':
		if _, ok := slices.BinarySearch(leaves, c.leaf); ok {
			c.kind = '*'
		}
	}
	for _, f := range c.fields {
		f.texts(leaves)
	}
}
