// Package monitor tells when replies that a reward model scores have left what the
// model is known to work on, as they do when a policy is optimised against it.
//
// A [Monitor] holds a profile of reference replies (see [rm.Profile]) and takes
// scored replies in windows. Of each window it computes a few statistics (see
// [Names]) and an alarm rings where one is above its threshold. Replies to one
// prompt are alike, and a trainer sends several of them in a batch, so everything is
// computed from means by prompt: for each value j
//
//	t_j = (w_j − r_j) / √(s²_wj/G_w + s²_rj/G_r)
//
// (Welch 1947) with w_j and r_j the means over the G prompts of window and reference
// of their replies' mean, and s² the variance between prompts. Whatever replies to a
// prompt have in common is then in the variance.
//
// Thresholds come from the reference alone: windows of the same numbers of replies
// and prompts are drawn from its prompts, and held against references that are drawn
// from them as well, so that the chance of the reference itself counts, too. All
// statistics get the same chance to ring, and that is chosen so that in the share of
// windows that was asked for any of them does (the min-p rule of Westfall and Young
// 1993). That rate is for replies like those of the reference, and an average over
// references: one of few prompts can be off by more.
package monitor
