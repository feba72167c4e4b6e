-- Which process works on which pairs, so that several on one database share a
-- job and ask nothing twice. The rows come and go with the processes; those of
-- one that has died are taken over.
CREATE TABLE claimants (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  machine TEXT NOT NULL,
  process INTEGER NOT NULL,
  beat    INTEGER NOT NULL  -- when it last gave a sign of life
);

CREATE TABLE claims (
  judge    INTEGER NOT NULL REFERENCES judges (id),
  pair     INTEGER NOT NULL REFERENCES pairs (id),
  claimant INTEGER NOT NULL REFERENCES claimants (id),
  PRIMARY KEY (judge, pair)
) WITHOUT ROWID;
