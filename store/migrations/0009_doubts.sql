-- What an older version stored and today's rules of reading an answer refuse:
-- log-probabilities of no distribution (null was read as one of 0), read-outs in
-- which no answer was listed, or one whose probability the other was given too,
-- and texts with a model's thoughts in them. Such rows stay as they are; they
-- count as failures, which --retry-failed asks again.

-- A judgment is doubtful where its question has a failure, too: none has both
-- otherwise, for a judgment removes the failure of its question.
DELETE FROM failures WHERE EXISTS (
  SELECT 1 FROM judgments g WHERE g.judge = failures.judge AND g.pair = failures.pair AND g.principle = failures.principle
  AND g.slot_order = failures.slot_order AND g.sample = failures.sample);

-- The rule is that of the program, with the one addition that probabilities of
-- which one is exactly 1 sum to no more. Two answers of the same probability are
-- a tie where both were listed.
INSERT INTO failures (pair, principle, judge, slot_order, sample, kind, message, created)
SELECT pair, principle, judge, slot_order, sample, doubt,
       CASE doubt WHEN 'off_format' THEN 'stored by an older version: the log-probabilities are those of no distribution'
       ELSE 'stored by an older version: neither answer was listed, or only one' END, created
FROM (
  SELECT *, CASE
    WHEN max(lp_first, lp_second) > 0.01 OR NOT coverage BETWEEN 0 AND 1.01 THEN 'off_format'
    WHEN exp(lp_first) + exp(lp_second) > 1.01 AND (NOT censored OR max(lp_first, lp_second) >= 0) THEN 'off_format'
    WHEN coverage = 0 OR censored AND lp_first = lp_second THEN 'undecided' END AS doubt
  FROM judgments
)
WHERE doubt IS NOT NULL;

-- What was decided on such judgments is open again.
DELETE FROM stops WHERE EXISTS (
  SELECT 1 FROM failures f JOIN judgments g ON g.judge = f.judge AND g.pair = f.pair AND g.principle = f.principle
  AND g.slot_order = f.slot_order AND g.sample = f.sample
  WHERE f.judge = stops.judge AND f.pair = stops.pair);

-- Doubtful rows of the other tables.
CREATE TABLE doubts (
  kind   TEXT NOT NULL CHECK (kind IN ('critiques', 'revisions', 'grades', 'responses', 'answers')),  -- their table
  row    INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (kind, row)
) WITHOUT ROWID;

INSERT INTO doubts SELECT 'critiques', id, CASE coverage WHEN 0 THEN 'undecided' ELSE 'off_format' END
FROM critiques WHERE coverage NOT BETWEEN 1e-300 AND 1.01 OR probability NOT BETWEEN 0 AND 1;

-- Where one of three or more levels was listed, all were given its probability.
-- Votes may be spread evenly, and so may the probabilities of two levels.
INSERT INTO doubts SELECT 'grades', g.id, CASE WHEN coverage BETWEEN 0 AND 1.01 THEN 'undecided' ELSE 'off_format' END
FROM grades g WHERE NOT coverage BETWEEN 1e-300 AND 1.01
OR abs(score - 0.5) < 1e-6 AND json_array_length(distribution) > 2
   AND (SELECT min(value) = max(value) FROM json_each(distribution))
   AND (SELECT json_extract(options, '$.votes') IS NULL FROM judges WHERE id = g.judge);

-- The judgments that count.
CREATE VIEW sound_judgments AS
SELECT * FROM judgments g WHERE NOT EXISTS (
  SELECT 1 FROM failures f WHERE f.judge = g.judge AND f.pair = g.pair AND f.principle = g.principle
  AND f.slot_order = g.slot_order AND f.sample = g.sample);

DROP VIEW labels;
DROP VIEW label_summary;
DROP VIEW debates;

-- One label for each pair, judge and constitution, by the log-odds rule: with s
-- the log-odds that the first slot wins, z = (s_ab - s_ba) / 2 for each
-- principle and p_a = sigma(sum(w z) / sum(w)). Judgments with a coverage under
-- 0.1 abstain, so do those that are doubtful, and principles that were not asked in
-- both orders.
CREATE VIEW labels AS
WITH
slots AS (  -- samples of one question are averaged as probabilities
  SELECT judge, pair, principle, slot_order, min(coverage) AS coverage,
         CASE count(*) WHEN 1 THEN max(lp_first - lp_second)
         ELSE ln(avg(1 / (1 + exp(lp_second - lp_first))))
            - ln(avg(1 / (1 + exp(lp_first - lp_second)))) END AS s
  FROM sound_judgments
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
-- more. Those that are doubtful abstain.
CREATE VIEW label_summary AS
SELECT f.name AS source, lower(hex(j.hash)) AS judge, j.model,
       r.name AS principle, lower(hex(r.hash)) AS principle_hash,
       count(*) AS judgments, count(DISTINCT g.pair) AS pairs,
       sum(g.coverage < 0.1 OR d.id IS NOT NULL) AS abstained,
       avg(CASE WHEN d.id IS NULL THEN g.lp_first - g.lp_second END) AS mean_position_bias
FROM judgments g
LEFT JOIN failures d ON d.judge = g.judge AND d.pair = g.pair AND d.principle = g.principle
  AND d.slot_order = g.slot_order AND d.sample = g.sample
JOIN judges j ON j.id = g.judge
JOIN principles r ON r.id = g.principle
LEFT JOIN (
  SELECT DISTINCT s.pair, f.id AS file
  FROM source_rows s JOIN files f ON f.import = s.import
) s ON s.pair = g.pair
LEFT JOIN files f ON f.id = s.file
GROUP BY f.id, g.judge, g.principle;

-- Debates, as judgments know them: a transcript is the rationale of a judgment
-- in mode debate, where it counts. Who argues for the reply in the first slot is debater A.
CREATE VIEW debates AS
SELECT lower(hex(p.hash)) AS pair,
       lower(hex(j.hash)) AS judge,
       j.model,
       json_extract(j.options, '$.protocol') AS protocol,
       r.name AS principle,
       g.slot_order, g.sample,
       1 / (1 + exp(g.lp_second - g.lp_first)) AS p_first,
       g.coverage,
       json_array_length(g.rationale, '$.turns') AS turns,
       (SELECT count(*) FROM json_each(g.rationale, '$.turns') t, json_each(t.value, '$.quotes')) AS quotes,
       (SELECT ifnull(sum(json_extract(q.value, '$.verified')), 0)
        FROM json_each(g.rationale, '$.turns') t, json_each(t.value, '$.quotes') q) AS verified,
       g.prompt_tokens, g.milliseconds, g.created,
       q.text AS prompt_text,
       CASE g.slot_order WHEN 'ab' THEN a.text ELSE b.text END AS first_text,
       CASE g.slot_order WHEN 'ab' THEN b.text ELSE a.text END AS second_text,
       g.rationale AS transcript
FROM judges j
JOIN sound_judgments g ON g.judge = j.id
JOIN principles r ON r.id = g.principle
JOIN pairs p ON p.id = g.pair
JOIN prompts q ON q.id = p.prompt
JOIN responses a ON a.id = p.a
JOIN responses b ON b.id = p.b
WHERE j.mode = 'debate';
