// Package rm trains and runs small reward models: a number for a reply, such
// that the difference of two replies' numbers says which is the better one.
//
// # Features
//
// Most need no server: hashed word n-grams of the reply ("hash"), measures of its
// style and of how it relates to the prompt ("style"), hashed character n-grams
// ("chars"). A [Source] gives others, such as embeddings or what a judge said.
// They are turned into columns by a space, which is learned from the training
// pairs: which n-grams are known and how common they are, means and standard
// deviations. Where there are n-grams and style, the weights hang on the prompt:
// on its words, for a few style features, and for all style features and the
// common n-grams on what replies to such a prompt tend to look like, which is
// learned from the training replies without their labels.
//
// # Heads
//
// A model is one or more heads on the space, and a blend of them: a single
// [HeadLinear] or [HeadMLP]; an ensemble fitted to resamples of the prompts; a
// linear head for each principle, mixed by the prompt ([HeadPrinciples]); a stack.
// [HeadAuto] chooses by cross-validation.
//
// # Fitting
//
// Linear heads are fitted by Bradley–Terry on soft labels: a pair whose first
// reply is better with probability P adds the cross-entropy of P and σ(r₁ − r₂) to
// the loss, with r = wᵀφ(prompt, reply), and a ridge λ/2·‖w‖² on top; margins, ties
// and the noise of labels change that as Options says. Scores are divided by a
// temperature fitted on pairs that the weights did not see, so σ(r₁ − r₂) reads as
// a probability.
//
// [Train] divides the pairs by their prompts into three parts: one to fit on, one
// to choose λ and the temperature, and a holdout that takes no part in either and
// comes back scored. A prompt never stands in two parts. The model that [Train]
// returns is refitted on the first two.
//
// [Model.Save] writes one safetensors file that Python's safetensors reads as
// well, and [Load] trusts nothing in it. A loaded model gives bit for bit the
// scores of the one that was saved.
//
// What such a model learns is what distinguishes the replies of its data, length
// and markup among it; Options.Debias keeps it from those two. Look at its
// accuracy beside that of "the longer wins", and of who wrote the replies, before
// believing it.
package rm
