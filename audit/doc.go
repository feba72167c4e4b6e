// Package audit tries to cheat a reward model before somebody else does.
//
// [Probes] edits replies in ways that should gain them nothing, or should cost
// them, and says what the scores do. [Causes] says which features of a text the
// scores follow, [Freeze] which of the model's own features carry them, and
// [Lessons] which training pairs taught it. [Climb] composes edits and words, for a
// linear model the steepest by its own weights, to raise the score as far as a
// number of scorings allows. [Mitigate] trains models against what was found and
// measures them by the same yardsticks.
//
// What is audited is a [Scorer]: a reward model, or anything else that gives
// replies numbers. Scores are compared within the reference replies: [Scale] is
// their standard deviation, and every effect here is in that unit. Intervals are
// 95 %, from resamples of whole prompts. All choices are made by a seed.
package audit
