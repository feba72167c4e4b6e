-- What adaptive labelling decided, and how a prompt's pairs are found.

-- Pairs of which not every principle was asked, because the label was certain
-- enough: flip is the probability, as it was estimated then, that the label of
-- all the principles would be the other one. A rule is the principles with
-- their weights. The row forbids nothing: cai label without --adaptive, or with
-- a smaller --flip-risk, asks the rest.
CREATE TABLE stops (
  id      INTEGER PRIMARY KEY,
  pair    INTEGER NOT NULL REFERENCES pairs (id),
  judge   INTEGER NOT NULL REFERENCES judges (id),
  rule    BLOB NOT NULL CHECK (length(rule) = 16),
  flip    REAL NOT NULL CHECK (flip BETWEEN 0 AND 0.5),
  created INTEGER NOT NULL
);
CREATE UNIQUE INDEX stops_once ON stops (judge, rule, pair);

-- The choice of a prompt's next pairs looks at those that were judged.
CREATE INDEX pairs_of_prompt ON pairs (prompt);
