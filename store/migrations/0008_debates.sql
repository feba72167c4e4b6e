-- Debates, as judgments know them: a transcript is the rationale of a judgment
-- in mode debate. Who argues for the reply in the first slot is debater A.
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
JOIN judgments g ON g.judge = j.id
JOIN principles r ON r.id = g.principle
JOIN pairs p ON p.id = g.pair
JOIN prompts q ON q.id = p.prompt
JOIN responses a ON a.id = p.a
JOIN responses b ON b.id = p.b
WHERE j.mode = 'debate';
