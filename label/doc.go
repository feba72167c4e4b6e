// Package label runs batch jobs of judgments and makes labels of them.
//
// A job asks every question that its plan names and its store does not hold:
// pairs × principles × orders × samples. There is no queue. What is pending is
// the difference between what is wanted and what is stored, each answer is
// durable before the next question is put, and so a job that was killed goes on
// where it was by being started again, and a job that is done costs nothing.
//
// A label is computed from judgments when it is read and never stored, so
// weights, thresholds and the rule can change at any time without a call.
package label
