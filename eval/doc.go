// Package eval measures anything that compares two replies: a reward model, a
// judge, or a null baseline such as "the longer reply wins".
//
// A [Comparer] is asked about each labelled pair; [Run] turns its answers into
// a [Set] of figures, and [Evaluate] does the same with answers that are there
// already. The null baselines ([Baseline]) go through the same code on the same
// pairs, since an accuracy says little until one knows what picking the longer
// reply would have reached; [Figures.Delta] is the difference, with its own
// interval.
//
// Where replies have authors there is one more baseline, which knows who wrote
// them and nothing of what they say: [AuthorFigures], with a strength for each
// author ([Games.Fit]) that never comes from the label of the pair it is used
// on. Data that name the language models of their replies are often ordered so
// well by those names alone that an accuracy shows little else.
//
// # What the figures mean
//
// P is a pair's label, the probability that its first reply is the better one.
// The side with P > 1/2 is the chosen one. Pairs without a label and pairs
// whose label is a tie (P = 1/2) are left out of every figure and counted in
// [Set.Skipped]. With m the comparer's log-odds for the chosen reply and
// p = σ(m):
//
//   - accuracy: the share of pairs with m > 0; m = 0 counts one half;
//   - log loss: −P ln p − (1−P) ln(1−p), in nats, with P of the chosen reply,
//     so a soft label adds its own entropy, which no model can go below;
//   - brier: (p − P)²; always saying 1/2 gives 1/4 under hard labels;
//   - ece: the expected calibration error of max(p, 1−p) against correctness,
//     in 15 bins of equal mass; correctness is what the label gives to the side
//     that the comparer picked, which is 0 or 1 under a hard label;
//   - length_spearman: Spearman's ρ between score of chosen − of rejected and
//     code points of chosen − of rejected, with the margin in place of the
//     difference of scores where a comparer gives no scores.
//
// Log-odds beyond ±[MaxLogOdds] are cut there, so that one certain and wrong
// answer cannot make a mean infinite.
//
// # Benchmarks
//
// Benchmarks define scores of their own: they weigh subsets, count a tie as wrong,
// ask for the best of four. [RuleOf] recognises them by their columns and, with
// [Options].Rule, [Set.Benchmark] is the score by that rule beside the figures that
// are the same for all data, the null baselines by the same rule beside it. What of
// the benchmark is missing in the data is named. [RunEach] asks several comparers
// about the same pairs and compares them.
//
// # Judges and people
//
// How far a judge can be trusted is measured against people's labels: agreement
// by [Kappa], [WeightedKappa] and [Alpha], beside what people reach among
// themselves ([HumanCeiling]); calibration by [Reliability], [DebiasedECE] and
// [Murphy]'s parts of the Brier score, and mended by [FitTemperature] and
// [FitIsotonic], whose own figures are out of fold ([CrossFit]); a rate that a
// judge reports, corrected for its errors ([RoganGladen]); two judges on the same
// pairs ([ComparePaired]); several judges, without people's labels or with them
// ([JuryOfVotes], [JuryOfMargins], [JuryOfGold]); repeated grades ([Intraclass]); and what length alone
// does to a choice ([MeasureLengthBias]). [BootstrapOf] gives any of them an
// interval.
//
// # Intervals
//
// Intervals are 95 % percentile bootstrap intervals over prompts: pairs of one
// prompt are drawn together, since their errors are not independent. Below two
// prompts nothing can be said and the interval is the whole range, [0, 1] for
// an accuracy. Where every prompt gives the same figure the interval has no
// width, whatever their number: with few prompts, read n before the interval.
//
// Rows are put into an order of their own before anything is summed, and the
// draws depend on the seed and on that order alone. So the order of pairs in a
// file, the order of the two replies in a pair, and the number of jobs change
// no figure, not even in its last digit.
package eval
