-- Replies graded by rubrics.

-- A rubric as it was used, by the hash of what a model sees of it.
CREATE TABLE rubrics (
  id      INTEGER PRIMARY KEY,
  hash    BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
  name    TEXT NOT NULL,
  text    TEXT NOT NULL,  -- TOML
  created INTEGER NOT NULL
);

-- One question about one reply, a criterion or whether one applies, as a
-- distribution over the levels of its scale.
CREATE TABLE grades (
  id            INTEGER PRIMARY KEY,
  prompt        INTEGER NOT NULL REFERENCES prompts (id),
  response      INTEGER NOT NULL REFERENCES responses (id),
  judge         INTEGER NOT NULL REFERENCES judges (id),
  rubric        INTEGER NOT NULL REFERENCES rubrics (id),  -- that it was asked for first
  criterion     BLOB NOT NULL CHECK (length(criterion) = 16),  -- of what was asked, a reference answer included
  name          TEXT NOT NULL,   -- of the criterion
  sample        INTEGER NOT NULL,  -- odd: the levels were listed from the highest down
  distribution  TEXT NOT NULL,   -- a JSON list of probabilities by level, the lowest first
  score         REAL NOT NULL,   -- expected level, from 0 to 1
  coverage      REAL NOT NULL,
  evidence      TEXT,            -- a quotation; empty: the model named none; NULL: not asked
  verified      INTEGER NOT NULL,  -- the quotation is in the reply
  prompt_tokens INTEGER NOT NULL,
  milliseconds  INTEGER NOT NULL,
  created       INTEGER NOT NULL
);
CREATE UNIQUE INDEX grades_once ON grades (judge, response, criterion, sample);
