package rm

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// A safetensors file is 8 bytes with the length of a header (little endian),
// the header, a JSON object, and the tensors' bytes. The header's keys are the
// tensors' names with dtype, shape and the offsets of the first byte and behind
// the last, counted from the header's end; "__metadata__" holds strings. The
// tensors must fill the rest of the file without holes or overlap.
// (https://github.com/huggingface/safetensors)

// Bounds on what is read, far above what any model here has.
const (
	maxHeader  = 1 << 20
	maxTensors = 512
)

// tensor is one array, of F32 or I32, of one dimension or two.
type tensor struct {
	f     []float32
	i     []int32
	width int // of the second dimension; 0 where there is none
}

func (t tensor) dtype() string {
	if t.i != nil {
		return "I32"
	}
	return "F32"
}

func (t tensor) len() int { return len(t.f) + len(t.i) }

func (t tensor) shape() []int64 {
	if t.width == 0 {
		return []int64{int64(t.len())}
	}
	return []int64{int64(t.len() / t.width), int64(t.width)}
}

// tensorInfo is a tensor's entry in the header.
type tensorInfo struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

const metadataKey = "__metadata__"

// tensorBytes gives the data section of a file: the tensors in the order of
// their names.
func tensorBytes(names []string, tensors map[string]tensor) []byte {
	var b []byte
	for _, n := range names {
		t := tensors[n]
		for _, v := range t.f {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		for _, v := range t.i {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
	}
	return b
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// encodeTensors makes the bytes of a file before its data section.
func encodeTensors(names []string, tensors map[string]tensor, meta map[string]string) ([]byte, error) {
	header := map[string]any{metadataKey: meta}
	at := int64(0)
	for _, n := range names {
		t := tensors[n]
		size := 4 * int64(t.len())
		header[n] = tensorInfo{t.dtype(), t.shape(), [2]int64{at, at + size}}
		at += size
	}
	h, err := json.Marshal(header) // sorts the keys
	if err != nil {
		return nil, err
	}
	// Spaces align the data on 8 bytes, as the format recommends.
	h = append(h, strings.Repeat(" ", (8-len(h)%8)%8)...)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...), nil
}

// decodeTensors reads a whole file. It gives the data section as well.
func decodeTensors(file []byte) (tensors map[string]tensor, meta map[string]string, data []byte, err error) {
	if len(file) < 8 {
		return nil, nil, nil, fmt.Errorf("not a safetensors file: %d bytes are too few for one", len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	if n > maxHeader {
		return nil, nil, nil, fmt.Errorf("not a safetensors file: a header of %d bytes, at most %d are read", n, maxHeader)
	}
	if n > uint64(len(file)-8) {
		return nil, nil, nil, fmt.Errorf("cut short: the header has %d bytes, the file %d behind its length", n, len(file)-8)
	}
	header, data := file[8:8+n], file[8+n:]
	infos, meta, err := decodeHeader(header)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("safetensors header: %w", err)
	}
	type place struct {
		name string
		tensorInfo
	}
	var order []place
	for _, name := range sortedNames(infos) {
		order = append(order, place{name, infos[name]})
	}
	slices.SortStableFunc(order, func(a, b place) int {
		switch {
		case a.Offsets[0] < b.Offsets[0] || a.Offsets[0] == b.Offsets[0] && a.Offsets[1] < b.Offsets[1]:
			return -1
		case a.Offsets == b.Offsets:
			return 0
		}
		return 1
	})
	tensors = map[string]tensor{}
	at := int64(0)
	for _, p := range order {
		n, ok := count(p.Shape)
		if !ok {
			return nil, nil, nil, fmt.Errorf("tensor %q: shape %v, need one or two dimensions of a sensible size", p.name, p.Shape)
		}
		size := 4 * n
		if p.Offsets[0] != at || p.Offsets[1] != at+size {
			return nil, nil, nil, fmt.Errorf("tensor %q: %d values of 4 bytes at bytes %d to %d, expected at %d to %d", p.name, n, p.Offsets[0], p.Offsets[1], at, at+size)
		}
		if p.Offsets[1] > int64(len(data)) {
			return nil, nil, nil, fmt.Errorf("cut short: tensor %q ends at byte %d of %d", p.name, p.Offsets[1], len(data))
		}
		at += size
		raw := data[p.Offsets[0]:p.Offsets[1]]
		var t tensor
		if len(p.Shape) == 2 {
			t.width = int(p.Shape[1])
		}
		switch p.DType {
		case "F32":
			t.f = make([]float32, n)
			for i := range t.f {
				t.f[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			}
		case "I32":
			t.i = make([]int32, n)
			for i := range t.i {
				t.i[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
			}
		default:
			return nil, nil, nil, fmt.Errorf("tensor %q: type %q, need F32 or I32", p.name, p.DType)
		}
		tensors[p.name] = t
	}
	if at != int64(len(data)) {
		return nil, nil, nil, fmt.Errorf("%d bytes behind the last tensor", int64(len(data))-at)
	}
	return tensors, meta, data, nil
}

// count gives the number of values of a shape.
func count(shape []int64) (n int64, ok bool) {
	if len(shape) < 1 || len(shape) > 2 {
		return 0, false
	}
	n = 1
	for i, d := range shape {
		if d < 0 || d > math.MaxInt32 || i == 1 && d == 0 {
			return 0, false
		}
		n *= d // below 2^62
	}
	return n, n <= math.MaxInt32
}

// decodeHeader reads the header's object; a name given twice is an error.
func decodeHeader(b []byte) (map[string]tensorInfo, map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil {
		return nil, nil, noEOF(err)
	} else if t != json.Delim('{') {
		return nil, nil, errors.New("not a JSON object")
	}
	infos := map[string]tensorInfo{}
	var meta map[string]string
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, nil, noEOF(err)
		}
		name, _ := t.(string)
		if name == metadataKey {
			if meta != nil {
				return nil, nil, fmt.Errorf("%q is given twice", name)
			}
			if err := dec.Decode(&meta); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, noEOF(err))
			}
			if meta == nil {
				meta = map[string]string{}
			}
			continue
		}
		if _, ok := infos[name]; ok {
			return nil, nil, fmt.Errorf("tensor %q is given twice", name)
		}
		if len(infos) == maxTensors {
			return nil, nil, fmt.Errorf("more than %d tensors", maxTensors)
		}
		var info tensorInfo
		if err := dec.Decode(&info); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, noEOF(err))
		}
		infos[name] = info
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, noEOF(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, errors.New("text behind the JSON object")
	}
	return infos, meta, nil
}

// noEOF names the end of the header as what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
