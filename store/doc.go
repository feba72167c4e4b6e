// Package store keeps everything that cai learns in one SQLite file.
//
// A [Store] holds the pairs of imported files, the judgments of them, and the
// critiques and revisions of replies. What is known by its content is stored
// once, under a [dataset.Hash], so importing a file twice changes nothing. What
// is pending of a job is never written down: [Store.Pending] computes it as the
// difference between what the job wants and what the store holds, so there is
// no queue to repair after a crash.
//
// # What is safe when
//
// A method that adds something returns when the addition would survive a pulled
// plug: SQLite runs with a write-ahead log and synchronous FULL. One goroutine
// writes, and commits together whatever has arrived while it was busy, so many
// callers share the cost of one disk flush. When a write fails, for want of
// space or because another process holds the lock, the error says so, nothing
// of that addition is stored, and everything that was reported before stays.
//
// Several processes may use one file at the same time. No read transaction
// outlives a page of results, so the log can always be written back.
//
// # Looking inside
//
// The file is made to be opened with the sqlite3 shell: the views labels,
// label_summary, debates and sources show what people ask for, with hashes in
// hexadecimal. Tables are described in migrations/*.sql, beside the code.
//
//	sqlite3 -readonly cai.db 'SELECT p_a, chosen_text FROM labels ORDER BY abs(z) DESC LIMIT 5'
//
// User names, passwords and keys never belong in a store; addresses in the
// texts that the program itself adds (settings, messages) lose theirs here.
package store
