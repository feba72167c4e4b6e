package eval

import "cai/dataset"

// Folds is the number of parts of a cross-fitting by prompt.
const Folds = numFolds

// Fold is the part, from 0 up to [Folds], that a prompt falls into wherever it
// occurs: what is fitted to the pairs of the other parts has not seen it.
func Fold(prompt dataset.Hash) int { return foldOf(prompt) }
