package handover

import (
	"encoding/binary"
	"math"

	"cai/rm"
)

// message is a protobuf message under construction. Numbers of fields are those
// of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
type message []byte

func (m *message) varint(field int, v uint64) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3)
	*m = binary.AppendUvarint(*m, v)
}

func (m *message) bytes(field int, b []byte) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}

func (m *message) text(field int, s string) { m.bytes(field, []byte(s)) }

const onnxFloat = 1 // TensorProto.FLOAT

func onnxTensor(name string, dims []int, values ...float32) []byte {
	var t, raw message
	for _, d := range dims {
		t.varint(1, uint64(d))
	}
	t.varint(2, onnxFloat)
	t.text(8, name)
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	t.bytes(9, raw)
	return t
}

func onnxNode(op string, inputs []string, output string, attributes ...[]byte) []byte {
	var n message
	for _, in := range inputs {
		n.text(1, in)
	}
	n.text(2, output)
	n.text(3, output)
	n.text(4, op)
	for _, a := range attributes {
		n.bytes(5, a)
	}
	return n
}

// onnxMatrix is the type of an input or output of N rows of the given width.
func onnxMatrix(name string, width int) []byte {
	var rows, cols, shape, tensor, typ, v message
	rows.text(2, "N")
	cols.varint(1, uint64(width))
	shape.bytes(1, rows)
	shape.bytes(1, cols)
	tensor.varint(1, onnxFloat)
	tensor.bytes(2, shape)
	typ.bytes(1, tensor)
	v.text(1, name)
	v.bytes(2, typ)
	return v
}

// onnx gives the model as a graph of opset 17: X [N, features] to reward [N, 1],
// by Sub, Mul, Clip and Gemm in 32 bits.
func onnx(a *rm.Affine, producer string, meta [][2]string) []byte {
	n := len(a.Weight)
	var trans message
	trans.text(1, "transB")
	trans.varint(3, 1)
	trans.varint(20, 2) // INT
	var g message
	g.bytes(1, onnxNode("Sub", []string{"X", "mean"}, "centred"))
	g.bytes(1, onnxNode("Mul", []string{"centred", "scale"}, "scaled"))
	g.bytes(1, onnxNode("Clip", []string{"scaled", "low", "high"}, "clipped"))
	g.bytes(1, onnxNode("Gemm", []string{"clipped", "weight", "bias"}, "reward", trans))
	g.text(2, "reward")
	g.bytes(5, onnxTensor("mean", []int{n}, a.Mean...))
	g.bytes(5, onnxTensor("scale", []int{n}, a.Scale...))
	g.bytes(5, onnxTensor("low", nil, float32(-a.Clip)))
	g.bytes(5, onnxTensor("high", nil, float32(a.Clip)))
	g.bytes(5, onnxTensor("weight", []int{1, n}, a.Weight...))
	g.bytes(5, onnxTensor("bias", []int{1}, float32(a.Bias)))
	g.bytes(11, onnxMatrix("X", n))
	g.bytes(12, onnxMatrix("reward", 1))
	var opset, m message
	opset.text(1, "")
	opset.varint(2, 17)
	m.varint(1, 8) // ir_version
	m.text(2, producer)
	m.bytes(7, g)
	m.bytes(8, opset)
	for _, kv := range meta {
		var e message
		e.text(1, kv[0])
		e.text(2, kv[1])
		m.bytes(14, e)
	}
	return m
}
