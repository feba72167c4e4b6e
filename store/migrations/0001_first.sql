-- The first schema of a cai store.
--
-- Inside, rows are joined by small integer keys. What was said or asked is
-- known by a content hash of 16 bytes, so that the same text is stored once and
-- two stores can be compared; the views show these hashes in hexadecimal. Times
-- are milliseconds since 1970 (UTC): datetime(created / 1000, 'unixepoch').

-- What was said before a reply.
CREATE TABLE prompts (
  id    INTEGER PRIMARY KEY,
  hash  BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
  form  TEXT NOT NULL CHECK (form IN ('text', 'messages')),
  text  TEXT NOT NULL  -- one user message, or a JSON list of messages
);

-- Replies. A revision is a reply with a parent, a round and a principle.
CREATE TABLE responses (
  id        INTEGER PRIMARY KEY,
  hash      BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
  prompt    INTEGER NOT NULL REFERENCES prompts (id),
  text      TEXT NOT NULL,
  author    TEXT,      -- who wrote it, where known
  parent    INTEGER REFERENCES responses (id),
  round     INTEGER,
  principle INTEGER REFERENCES principles (id)
);
CREATE INDEX responses_of_prompt ON responses (prompt);

-- Two replies to one prompt, without an order: a has the smaller hash.
CREATE TABLE pairs (
  id     INTEGER PRIMARY KEY,
  hash   BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
  prompt INTEGER NOT NULL REFERENCES prompts (id),
  a      INTEGER NOT NULL REFERENCES responses (id),
  b      INTEGER NOT NULL REFERENCES responses (id),
  bytes  INTEGER NOT NULL  -- of the prompt and both replies
);

-- A principle is known by the texts that a model sees; its name, title and
-- weight are those of the constitution that was used last.
CREATE TABLE principles (
  id         INTEGER PRIMARY KEY,
  hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
  name       TEXT NOT NULL,
  title      TEXT NOT NULL,
  critique   TEXT NOT NULL,
  revision   TEXT NOT NULL,
  comparison TEXT NOT NULL,
  question   TEXT NOT NULL,  -- the yes-or-no check of one reply, empty where it has none of its own
  weight     REAL NOT NULL
);

CREATE TABLE constitutions (
  id          INTEGER PRIMARY KEY,
  hash        BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  used        INTEGER NOT NULL
);

CREATE TABLE constitution_principles (
  constitution INTEGER NOT NULL REFERENCES constitutions (id),
  principle    INTEGER NOT NULL REFERENCES principles (id),
  position     INTEGER NOT NULL,
  name         TEXT NOT NULL,
  weight       REAL NOT NULL,
  tags         TEXT NOT NULL,  -- a JSON list
  PRIMARY KEY (constitution, principle)
) WITHOUT ROWID;

CREATE TABLE judges (
  id       INTEGER PRIMARY KEY,
  hash     BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
  backend  TEXT NOT NULL,
  model    TEXT NOT NULL,
  digest   TEXT NOT NULL,
  template TEXT NOT NULL,
  mode     TEXT NOT NULL,
  options  TEXT NOT NULL,  -- a JSON object
  created  INTEGER NOT NULL
);

-- What one judge made of one pair under one principle in one order: natural-log
-- probabilities that the reply in the first or the second slot was named.
CREATE TABLE judgments (
  id            INTEGER PRIMARY KEY,
  pair          INTEGER NOT NULL REFERENCES pairs (id),
  principle     INTEGER NOT NULL REFERENCES principles (id),
  judge         INTEGER NOT NULL REFERENCES judges (id),
  slot_order    TEXT NOT NULL CHECK (slot_order IN ('ab', 'ba')),
  sample        INTEGER NOT NULL,
  mode          TEXT NOT NULL,
  lp_first      REAL NOT NULL,
  lp_second     REAL NOT NULL,
  lp_tie        REAL,
  coverage      REAL NOT NULL,
  censored      INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  milliseconds  INTEGER NOT NULL,
  rationale     TEXT,
  created       INTEGER NOT NULL
);
-- The order of the columns serves "what has this judge said of these pairs",
-- from the index alone.
CREATE UNIQUE INDEX judgments_once ON judgments
  (judge, pair, principle, slot_order, sample, mode);

-- Calls that gave no judgment. A judgment of the same question removes the row.
CREATE TABLE failures (
  id         INTEGER PRIMARY KEY,
  pair       INTEGER NOT NULL REFERENCES pairs (id),
  principle  INTEGER NOT NULL REFERENCES principles (id),
  judge      INTEGER NOT NULL REFERENCES judges (id),
  slot_order TEXT NOT NULL CHECK (slot_order IN ('ab', 'ba')),
  sample     INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  message    TEXT NOT NULL,
  created    INTEGER NOT NULL
);
CREATE UNIQUE INDEX failures_once ON failures
  (judge, pair, principle, slot_order, sample);

CREATE TABLE critiques (
  id            INTEGER PRIMARY KEY,
  hash          BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
  prompt        INTEGER NOT NULL REFERENCES prompts (id),
  response      INTEGER NOT NULL REFERENCES responses (id),
  principle     INTEGER NOT NULL REFERENCES principles (id),
  judge         INTEGER NOT NULL REFERENCES judges (id),
  probability   REAL,  -- that the reply violates the principle
  coverage      REAL,
  text          TEXT NOT NULL,
  truncated     INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  tokens        INTEGER NOT NULL,
  milliseconds  INTEGER NOT NULL,
  created       INTEGER NOT NULL
);
CREATE INDEX critiques_of_prompt ON critiques (prompt);

-- The steps of revisions: a reply, what was found wrong with it, and the reply
-- written in its place.
CREATE TABLE revisions (
  id           INTEGER PRIMARY KEY,
  hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
  prompt       INTEGER NOT NULL REFERENCES prompts (id),
  reply_before INTEGER NOT NULL REFERENCES responses (id),
  reply_after  INTEGER NOT NULL REFERENCES responses (id),
  round        INTEGER NOT NULL,
  principle    INTEGER NOT NULL REFERENCES principles (id),
  judge        INTEGER NOT NULL REFERENCES judges (id),
  critique     TEXT NOT NULL,
  p            REAL,  -- that the new reply is the better one
  accepted     INTEGER NOT NULL,
  created      INTEGER NOT NULL
);
CREATE INDEX revisions_of_prompt ON revisions (prompt);

-- Imported files. The rows of a file are those of its import; a file that is
-- being read writes to an import of its own, which becomes the file's when it
-- is whole.
CREATE TABLE files (
  id       INTEGER PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  import   INTEGER REFERENCES imports (id),  -- NULL until the file was read whole
  rows     INTEGER NOT NULL DEFAULT 0,
  pairs    INTEGER NOT NULL DEFAULT 0,       -- different ones
  imported INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE imports (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  file    INTEGER NOT NULL REFERENCES files (id),
  touched INTEGER NOT NULL
);
CREATE INDEX imports_of_file ON imports (file);

CREATE TABLE source_rows (
  id      INTEGER PRIMARY KEY,
  import  INTEGER NOT NULL REFERENCES imports (id),
  seq     INTEGER NOT NULL,  -- place in the file, from 0
  pair    INTEGER NOT NULL REFERENCES pairs (id),
  line    INTEGER NOT NULL,
  sub     INTEGER NOT NULL,
  swapped INTEGER NOT NULL,  -- 1 where the file's first reply is b
  p_a     REAL,              -- the file's probability that a is better
  record  TEXT,              -- the record's own id
  extra   TEXT               -- further columns, a JSON object
);
CREATE UNIQUE INDEX source_rows_in_order ON source_rows (import, seq, pair);
CREATE INDEX source_rows_of_pair ON source_rows (pair);

-- Answers of a model by the hash of the question, so that work that was
-- interrupted does not ask twice.
CREATE TABLE answers (
  id      INTEGER PRIMARY KEY,
  key     BLOB NOT NULL UNIQUE CHECK (length(key) = 16),
  value   BLOB NOT NULL,
  created INTEGER NOT NULL
);

CREATE TABLE runs (
  id       INTEGER PRIMARY KEY,
  command  TEXT NOT NULL,
  settings TEXT NOT NULL,  -- JSON
  started  INTEGER NOT NULL,
  finished INTEGER,        -- NULL while it runs, or where it was killed
  result   TEXT            -- JSON
);

-- Where pairs came from.
CREATE VIEW sources AS
SELECT lower(hex(p.hash)) AS pair, f.name AS file, s.line, s.sub, s.record AS id,
       s.p_a, s.swapped, s.extra
FROM source_rows s
JOIN files f ON f.import = s.import
JOIN pairs p ON p.id = s.pair;

-- One label for each pair, judge and constitution, by the log-odds rule: with s
-- the log-odds that the first slot wins, z = (s_ab - s_ba) / 2 for each
-- principle and p_a = sigma(sum(w z) / sum(w)). Judgments with a coverage under
-- 0.1 abstain, and so do principles that were not asked in both orders.
CREATE VIEW labels AS
WITH
slots AS (  -- samples of one question are averaged as probabilities
  SELECT judge, pair, principle, slot_order, min(coverage) AS coverage,
         CASE count(*) WHEN 1 THEN max(lp_first - lp_second)
         ELSE ln(avg(1 / (1 + exp(lp_second - lp_first))))
            - ln(avg(1 / (1 + exp(lp_first - lp_second)))) END AS s
  FROM judgments
  WHERE coverage >= 0.1
  GROUP BY judge, pair, principle, slot_order
),
orders AS (
  SELECT judge, pair, principle, min(coverage) AS coverage,
         max(CASE slot_order WHEN 'ab' THEN s END) AS s_ab,
         max(CASE slot_order WHEN 'ba' THEN s END) AS s_ba
  FROM slots
  GROUP BY judge, pair, principle
  HAVING count(*) = 2
),
sums AS (
  SELECT o.judge, o.pair, m.constitution,
         sum(m.weight * (s_ab - s_ba) / 2) / sum(m.weight) AS z,
         avg((s_ab + s_ba) / 2) AS position_bias,
         avg(s_ab * s_ba > 0) AS same_slot_rate,
         min(o.coverage) AS coverage,
         count(*) AS principles
  FROM orders o
  JOIN constitution_principles m ON m.principle = o.principle AND m.weight > 0
  GROUP BY o.judge, o.pair, m.constitution
)
SELECT lower(hex(p.hash)) AS pair,
       lower(hex(j.hash)) AS judge,
       j.model,
       lower(hex(c.hash)) AS constitution,
       s.z,
       1 / (1 + exp(-s.z)) AS p_a,
       s.position_bias, s.same_slot_rate, s.coverage, s.principles,
       lower(hex(CASE WHEN s.z >= 0 THEN a.hash ELSE b.hash END)) AS chosen,
       lower(hex(CASE WHEN s.z >= 0 THEN b.hash ELSE a.hash END)) AS rejected,
       q.text AS prompt_text,
       CASE WHEN s.z >= 0 THEN a.text ELSE b.text END AS chosen_text,
       CASE WHEN s.z >= 0 THEN b.text ELSE a.text END AS rejected_text
FROM sums s
JOIN pairs p ON p.id = s.pair
JOIN prompts q ON q.id = p.prompt
JOIN responses a ON a.id = p.a
JOIN responses b ON b.id = p.b
JOIN judges j ON j.id = s.judge
JOIN constitutions c ON c.id = s.constitution;

-- How many judgments there are of each file, judge and principle. A pair that
-- stands in two files counts for both; source is NULL where no file has it any
-- more.
CREATE VIEW label_summary AS
SELECT f.name AS source, lower(hex(j.hash)) AS judge, j.model,
       r.name AS principle, lower(hex(r.hash)) AS principle_hash,
       count(*) AS judgments, count(DISTINCT g.pair) AS pairs,
       sum(g.coverage < 0.1) AS abstained,
       avg(g.lp_first - g.lp_second) AS mean_position_bias
FROM judgments g
JOIN judges j ON j.id = g.judge
JOIN principles r ON r.id = g.principle
LEFT JOIN (
  SELECT DISTINCT s.pair, f.id AS file
  FROM source_rows s JOIN files f ON f.import = s.import
) s ON s.pair = g.pair
LEFT JOIN files f ON f.id = s.file
GROUP BY f.id, g.judge, g.principle;
