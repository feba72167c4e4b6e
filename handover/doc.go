// Package handover writes reward models and labels for programs other than cai:
// a folder with a model's weights, what its features are, a reader in Python and
// texts with their scores to check it by; an ONNX graph where the model is one;
// and the cards that go with them.
package handover
