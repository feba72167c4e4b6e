-- What people said of pairs, one by one, and what judges were found to be worth.

-- The votes of a source row: a JSON list in the order of the file's annotators,
-- 1 where reply a was chosen, 0 for b, 0.5 for a tie, null where none was given.
ALTER TABLE source_rows ADD COLUMN votes TEXT;
UPDATE files SET mark = NULL;  -- read again, for the votes

CREATE VIEW human_labels AS
SELECT lower(hex(p.hash)) AS pair, f.name AS file, s.line, v.key AS annotator, v.value AS p_a
FROM source_rows s
JOIN files f ON f.import = s.import
JOIN pairs p ON p.id = s.pair,
json_each(s.votes) v
WHERE s.votes IS NOT NULL AND v.value IS NOT NULL;

-- How a judge's log-odds are turned into better ones, fitted to people's labels.
-- Subject names what was fitted: the judges with their weights, the principles
-- with theirs, and the rule. The newest row of a subject is the one that is used.
CREATE TABLE calibrations (
  id      INTEGER PRIMARY KEY,
  subject BLOB NOT NULL CHECK (length(subject) = 16),
  judge   INTEGER REFERENCES judges (id),  -- NULL of a jury
  method  TEXT NOT NULL,
  params  TEXT NOT NULL,  -- JSON
  figures TEXT NOT NULL,  -- JSON, out of fold
  gold    TEXT NOT NULL,  -- the files, a JSON list
  n       INTEGER NOT NULL,
  created INTEGER NOT NULL
);
CREATE INDEX calibrations_of_subject ON calibrations (subject, id);
