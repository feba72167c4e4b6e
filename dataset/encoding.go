package dataset

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

// mark is the byte order mark in UTF-8.
const mark = "\ufeff"

// wide is an encoding whose characters are units of two or four bytes.
type wide struct {
	name  string
	mark  string
	unit  int
	order binary.ByteOrder
	of    encoding.Encoding
}

// wides has UTF-32 first: its little-endian mark begins with that of UTF-16.
var wides = []wide{
	{"UTF-32", "\xff\xfe\x00\x00", 4, binary.LittleEndian, utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)},
	{"UTF-32", "\x00\x00\xfe\xff", 4, binary.BigEndian, utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)},
	{"UTF-16", "\xff\xfe", 2, binary.LittleEndian, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)},
	{"UTF-16", "\xfe\xff", 2, binary.BigEndian, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)},
}

// decode makes UTF-8 of text in UTF-16 or UTF-32, and takes the marks at the
// beginning away.
func (in *input) decode() {
	in.r.Peek(4) // no more than that is waited for
	head, _ := in.r.Peek(in.r.Buffered())
	for _, w := range wides {
		if bytes.HasPrefix(head, []byte(w.mark)) || w.shows(head) {
			in.file = nil
			in.r = bufio.NewReaderSize(transform.NewReader(in.r, &strict{Transformer: w.of.NewDecoder(), wide: w}), readBuffer)
			break
		}
	}
	for {
		if head, _ := in.r.Peek(len(mark)); string(head) != mark {
			return
		}
		in.r.Discard(len(mark))
	}
}

// shows tells whether text without a mark is in the encoding: the upper bytes of
// its ASCII characters are zero, in UTF-16 of one among the first eight and of one
// in eight at least, and no other bytes are.
func (w *wide) shows(head []byte) bool {
	n := len(head) / w.unit
	if n < 2 {
		return false
	}
	ascii := 0
	for i := range n {
		if i == 8 && ascii == 0 { // another file was joined on to text in UTF-8
			return false
		}
		unit := head[i*w.unit : (i+1)*w.unit]
		x := uint32(w.order.Uint16(unit))
		if w.unit == 4 {
			x = w.order.Uint32(unit)
		}
		switch {
		case x > utf8.MaxRune, x&0xff == 0: // no text has U+0000, and few have U+0100
			return false
		case x < utf8.RuneSelf:
			ascii++
		}
	}
	return w.unit == 4 || ascii*8 >= n
}

// strict is a decoder that fails where another would put U+FFFD in place of what
// is no character: text must come out as it came in.
type strict struct {
	transform.Transformer
	wide
}

func (s *strict) Transform(dst, src []byte, atEOF bool) (int, int, error) {
	nDst, nSrc, err := s.Transformer.Transform(dst, src, atEOF)
	have := 0
	for i := 0; i+s.unit <= nSrc; i += s.unit {
		unit := src[i : i+s.unit]
		if s.unit == 2 && s.order.Uint16(unit) == utf8.RuneError || s.unit == 4 && s.order.Uint32(unit) == utf8.RuneError {
			have++
		}
	}
	if bytes.Count(dst[:nDst], []byte(string(utf8.RuneError))) > have {
		return 0, 0, fmt.Errorf("not valid %s: half of a surrogate pair, or a character that is cut off", s.name)
	}
	return nDst, nSrc, err
}

// badUTF8 describes the first byte of a record that is not UTF-8, and where it is
// likely to come from.
func badUTF8(data []byte) string {
	i := validPrefix(data)
	if i == len(data) {
		return "not valid UTF-8"
	}
	what := fmt.Sprintf("not valid UTF-8: byte %d of the record is 0x%02x", i+1, data[i])
	switch rest := data[i:]; {
	case bytes.HasPrefix(rest, []byte("\xff\xfe")), bytes.HasPrefix(rest, []byte("\xfe\xff")):
		return what + ", the mark of UTF-16: a file in that encoding was joined on"
	case rest[0] == 0xed && len(rest) > 1 && rest[1] >= 0xa0:
		return what + ", half of a surrogate pair, which is no character"
	case rest[0] >= 0xa0 && rest[0] < 0xff || bytes.IndexByte(windows1252, rest[0]) >= 0:
		return what + "; text in Windows-1252 or Latin-1? iconv -f WINDOWS-1252 -t UTF-8 FILE makes UTF-8 of it"
	}
	return what
}

// windows1252 are the bytes below 0xa0 that people's texts in Windows-1252 have:
// the euro sign, quotation marks, dashes, the ellipsis and the trade mark sign.
var windows1252 = []byte{0x80, 0x82, 0x84, 0x85, 0x8b, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x99, 0x9b}

// foreign are files that people take for records, by how they begin.
var foreign = []struct{ begin, what string }{
	{"PK\x03\x04", "a zip archive, as an Excel workbook is one: save its sheet as CSV, or unpack it"},
	{"\xd0\xcf\x11\xe0", "an old Excel or Word document: save the sheet as CSV"},
	{"\x1f\x8b", "gzip data inside other compressed data: unpack it once"},
	{"\x28\xb5\x2f\xfd", "zstd data inside other compressed data: unpack it once"},
	{"BZh", "bzip2 data: unpack it, or pack it with gzip or zstd"},
	{"\xfd7zXZ\x00", "xz data: unpack it, or pack it with gzip or zstd"},
	{"\x04\x22\x4d\x18", "lz4 data: unpack it, or pack it with gzip or zstd"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"},
	{"Rar!\x1a\x07", "a rar archive: unpack it"},
	{"PARE", "a Parquet file whose footer is encrypted"},
	{"ARROW1", arrow},
	{"\xff\xff\xff\xff", arrow},
	{"FEA1", arrow},
	{"Obj\x01", "an Avro file: write it as JSON Lines or Parquet"},
	{"ORC", "an ORC file: write it as JSON Lines or Parquet"},
	{"\x89HDF", "an HDF5 file: write it as JSON Lines or Parquet"},
	{"\x93NUMPY", "a NumPy array, which holds no records"},
	{"\x80\x02", pickle},
	{"\x80\x03", pickle},
	{"\x80\x04", pickle},
	{"\x80\x05", pickle},
	{"SQLite format 3\x00", "a SQLite database, not a file of records: cai's own is named by --db, and cai export writes its pairs"},
	{"%PDF-", "a PDF document"},
	{"\x89PNG", "a picture"},
	{"\xff\xd8\xff", "a picture"},
	{"GIF8", "a picture"},
	{"\x7fELF", "a program"},
}

const lfsPointer = "version https://git-lfs.github.com/"

const (
	arrow  = "an Arrow file: write it as Parquet or JSON Lines, in datasets with to_parquet or to_json"
	pickle = "a Python pickle, which is not read since it may run code: write it as JSON Lines or Parquet"
)

// foreign gives an error where the file begins as one of another kind does.
func (in *input) foreign() error {
	in.r.Peek(4)
	head, _ := in.r.Peek(in.r.Buffered())
	if bytes.HasPrefix(head, []byte(lfsPointer)) {
		return errors.New(in.name + ": a pointer of Git LFS instead of the file: git lfs pull fetches it")
	}
	if bytes.IndexByte(head, 0) < 0 && (utf8.Valid(head) || validPrefix(head) > len(head)-utf8.UTFMax) {
		return nil // text, however it begins
	}
	for _, f := range foreign {
		if bytes.HasPrefix(head, []byte(f.begin)) {
			return errors.New(in.name + ": " + f.what)
		}
	}
	if len(head) >= 262 && string(head[257:262]) == "ustar" {
		return errors.New(in.name + ": a tar archive: unpack it")
	}
	return nil
}

// page tells whether a text is a page of HTML, or XML.
func page(head []byte) bool {
	head = bytes.ToLower(head[:min(len(head), 64)])
	for _, begin := range []string{"<!doctype html", "<html", "<head", "<body", "<?xml", "<error"} {
		if bytes.HasPrefix(head, []byte(begin)) {
			return true
		}
	}
	return false
}
