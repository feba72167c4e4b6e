package dataset

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// promptColumns are the names of the column with the prompt, the likeliest
// first.
var promptColumns = []string{
	"prompt", "messages", "conversation", "conversations", "instruction", "question", "query", "input", "context", "post",
}

func hasPrompt(o Object) bool { return has(o, promptColumns...) }

// promptPart tells whether a column is read into the prompt beside its main column.
func promptPart(key string) bool {
	switch key {
	case "system", "system_prompt", "system_message", "history", "context":
		return true
	}
	return false
}

var systemColumns = []string{"system", "system_prompt", "system_message"}

// mayBePrompt tells whether a column, by its name, may belong to the prompt.
func mayBePrompt(key string) bool {
	switch key {
	case "documents", "document", "tools", "functions", "passage", "article", "background", "dialogue", "dialog":
		return true
	}
	return promptPart(key) || slices.Contains(promptColumns, key)
}

// plainColumns are those of which a text is certainly no prompt.
var plainColumns = map[string]bool{
	"id": true, "source": true, "dataset": true, "subset": true, "split": true, "category": true, "topic": true, "type": true,
	"domain": true, "language": true, "lang": true, "level": true, "model": true, "task": true, "tags": true, "date": true, "license": true,
	"comment": true, "note": true, "notes": true, "rationale": true, "reason": true, "explanation": true, "critique": true, "principle": true,
	"annotator": true, "focus": true, "cai_id": true, extraColumn: true,
}

// perhapsPrompt tells whether a column that no name speaks for may be the prompt: one
// of messages, or of texts of several words.
func perhapsPrompt(f Field) bool {
	key := strings.ToLower(f.Key)
	if plainColumns[key] || strings.HasSuffix(key, "_id") || strings.Contains(key, "model") || slices.Contains(labelColumns, key) ||
		slices.ContainsFunc(sideColumns, func(s [2]string) bool { return s[0] == f.Key || s[1] == f.Key }) {
		return false
	}
	if isMessages(f.Value) {
		return true
	}
	text, err := unquote(f.Value)
	return err == nil && (len(strings.Fields(text)) > 1 || strings.HasSuffix(strings.TrimSpace(text), "?"))
}

// perhapsPrompts are the columns of a record without a prompt that may be it.
func perhapsPrompts(o Object) (columns []string) {
	replies := repliesOf(o)
	for _, f := range o {
		if !slices.Contains(replies, f.Key) && !blank(f.Value) && (mayBePrompt(f.Key) || perhapsPrompt(f)) {
			columns = append(columns, f.Key)
		}
	}
	return columns
}

// sideColumns are the names for a better and a worse reply.
var sideColumns = [][2]string{
	{"chosen", "rejected"},
	{"chosen_response", "rejected_response"}, // Argilla's
	{"response_j", "response_k"},             // Stack Exchange, paired
}

// sidesOf gives the columns of the better and the worse reply.
func sidesOf(o Object) (chosen, rejected string) {
	for _, s := range sideColumns {
		if o.Get(s[0]) != nil && o.Get(s[1]) != nil {
			return s[0], s[1]
		}
	}
	return sideColumns[0][0], sideColumns[0][1]
}

// ColumnNames are the names that [ParseColumns] takes for those of a file.
func ColumnNames() []string {
	names := map[string]bool{}
	add := func(more ...string) {
		for _, n := range more {
			names[n] = true
		}
	}
	add(promptColumns...)
	add(systemColumns...)
	add(replyColumns...)
	add(labelColumns...)
	add(authorColumns...)
	add(firstAuthors...)
	add(secondAuthors...)
	add(idColumns...)
	for _, s := range sideColumns {
		add(s[0], s[1])
	}
	for _, t := range twoColumns {
		add(t.names[0], t.names[1])
	}
	add("history", "documents", "tools", "functions", "responses", "ranks", "completions", "targets", "target_scores", "authors", "summaries", "info",
		"labels", annotators, "annotator1", "annotator2", "annotator3", "label_prob", "margin", "tie", "kto_tag", "score_0", "score_1",
		"score_chosen", "score_rejected", "subset", "source", "split", "domain", "level", "dataset",
		"num_correct", "num_incorrect", "total_completions", "reference", "reference_answer", "list_weight",
		"orig_instruction", "orig_response_A", "orig_response_B", "orig_preference")
	return slices.Sorted(maps.Keys(names))
}

// ParseColumns reads lists of "OURS=THEIRS", separated by commas, that give columns of
// a file the names that are read here, such as prompt=question.
func ParseColumns(lists []string) (map[string]string, error) {
	known := ColumnNames()
	out, used := map[string]string{}, map[string]string{}
	var items []string
	for _, list := range lists {
		items = append(items, splitItems(list, true)...)
	}
	for _, item := range items {
		ours, theirs, ok := strings.Cut(item, "=")
		ours = strings.TrimSpace(ours)
		switch {
		case !ok || ours == "" || theirs == "":
			return nil, fmt.Errorf("%q: NAME=COLUMN is expected, such as prompt=question", item)
		case !slices.Contains(known, ours):
			return nil, fmt.Errorf("%q: no column %q is read here; those that are: %s", item, ours, strings.Join(known, ", "))
		case out[ours] != "":
			return nil, fmt.Errorf("%s is given twice", ours)
		case used[theirs] != "":
			return nil, fmt.Errorf("the column %q is given for both %s and %s", theirs, used[theirs], ours)
		}
		out[ours], used[theirs] = theirs, ours
	}
	return out, nil
}

// rename gives a record's columns the names that the user gave them. A column that has
// such a name in the file, and no other, stands aside.
func (g *reading) rename(o Object) Object {
	if len(g.columns) == 0 {
		return o
	}
	out := slices.Clone(o)
	for i := range out {
		if ours, ok := g.columns[o[i].Key]; ok {
			out[i].Key = ours
			continue
		}
		for _, ours := range g.columns {
			if o[i].Key == ours {
				out[i].Key = aside(o, "original_"+ours)
				g.note(ToldReading, "", fmt.Sprintf("the file's own column %s is not read: another one has the name", ours))
			}
		}
	}
	return out
}

// aside makes a name that no column has.
func aside(o Object, name string) string {
	for o.Get(name) != nil {
		name += "_"
	}
	return name
}

// seenColumns notes which of the user's columns a record has.
func (g *reading) seenColumns(o Object) {
	for i := range o {
		if len(g.have) < 40 && !slices.Contains(g.have, o[i].Key) {
			g.have = append(g.have, o[i].Key)
		}
	}
	g.missing = slices.DeleteFunc(g.missing, func(name string) bool { return o.Get(name) != nil })
}

// lists are columns that can hold nothing but a list or an object, so that a text
// there is its JSON.
func holdsList(key string) bool {
	switch key {
	case "messages", "conversation", "conversations", "conversation_a", "conversation_b", "full_conversation",
		"responses", "completions", "ranks", "labels", annotators, "targets", "target_scores", "authors", "summaries", "info", "history":
		return true
	}
	return false
}

// unwrap gives a record in which the JSON that stands in texts is the value itself:
// in columns that hold nothing else, and in those of replies that the file has as
// messages. The object is a copy where there are any.
func (g *reading) unwrap(o Object) (Object, string) {
	copied := false
	for i := range o {
		raw := o[i].Value
		if len(raw) < 4 || raw[0] != '"' || raw[1] != '[' && raw[1] != '{' && raw[1] != ' ' && raw[1] != '\\' {
			continue
		}
		replies := g.texts[o[i].Key]
		if !replies && !holdsList(o[i].Key) {
			continue
		}
		text, _ := unquote(raw)
		value := jsonIn(text)
		switch {
		case value == nil && isRepr(text):
			return o, o[i].Key + ": " + reprReason
		case value == nil && replies:
			return o, o[i].Key + ": a text, where the file has the JSON of messages"
		case value == nil:
			continue
		}
		if !copied {
			o, copied = slices.Clone(o), true
		}
		o[i].Value = value
	}
	for key := range g.texts {
		if raw := o.Get(key); kindOf(raw) == '"' && g.texts[key] {
			return o, key + ": a text, where the file has the JSON of messages"
		}
	}
	return o, ""
}

// jsonIn gives the list or object whose JSON a text is, nil if it is none.
func jsonIn(text string) json.RawMessage {
	text = strings.TrimSpace(text)
	if text == "" || text[0] != '[' && text[0] != '{' {
		return nil
	}
	raw := []byte(text)
	s := scanner{data: raw}
	if s.skip() != nil || s.pos != len(raw) {
		return nil
	}
	return raw
}

const reprReason = "a Python repr, not JSON: write it with json.dumps"

// isRepr tells whether a text is what Python prints for a list or a dict.
func isRepr(text string) bool {
	text = strings.TrimSpace(text)
	text = strings.TrimPrefix(text, "array(")
	for _, open := range []string{"[{'", "{'", "['", "[array("} {
		if strings.HasPrefix(text, open) {
			end := text[len(text)-1]
			return end == ']' || end == '}' || end == ')'
		}
	}
	return false
}

// isReprOfMessages is isRepr for messages alone: a text may well begin as a list does.
func isReprOfMessages(text string) bool {
	if !isRepr(text) {
		return false
	}
	for _, key := range []string{"role", "content", "from", "value", "messages"} {
		if strings.Contains(text, "'"+key+"':") || strings.Contains(text, "'"+key+"' :") {
			return true
		}
	}
	return false
}

// messagesIn tells whether a text is the JSON of messages, of one message, or of an
// object that has them.
func messagesIn(text string) json.RawMessage {
	raw := jsonIn(text)
	if raw == nil {
		return nil
	}
	if c, err := parseMessages(messagesOf(raw)); err == nil && len(c) > 0 {
		return raw
	}
	if kindOf(raw) == '{' && isMessage(raw) {
		return raw
	}
	return nil
}

// messagesOf gives the list of an object {"messages": […]}, and anything else as it
// is.
func messagesOf(raw json.RawMessage) json.RawMessage {
	if kindOf(raw) == '{' {
		if o, err := appendObject(nil, raw); err == nil && isMessages(o.Get("messages")) {
			return o.Get("messages")
		}
	}
	return raw
}

// repliesOf are the columns of a record's replies that belong together: all of them
// are texts, or all are messages.
func repliesOf(o Object) []string {
	chosen, rejected := sidesOf(o)
	if has(o, chosen) && has(o, rejected) {
		return []string{chosen, rejected}
	}
	if a, b, ok := twoOf(o); ok {
		return []string{a, b}
	}
	for _, key := range replyColumns {
		if has(o, key) {
			return []string{key}
		}
	}
	return nil
}

// lookAtTexts notes whether a record's replies are texts that are the JSON of
// messages. They are read as messages where all replies of the first records are;
// a reply that alone is such a text stays one. A column of Python's is given.
func (g *reading) lookAtTexts(o Object) (repr string) {
	keys := repliesOf(o)
	if len(keys) == 0 || holdsList(keys[0]) {
		return ""
	}
	lists := g.listsIn(o, keys)
	turns := !lists && turnsIn(o, keys)
	all := true
	for _, key := range keys {
		text, err := unquote(o.Get(key))
		open, known := g.open[key]
		switch {
		case err != nil || known && !open:
			all = false
		case isReprOfMessages(text):
			repr = key
		case !lists && !turns && messagesIn(text) == nil:
			all = false
		}
	}
	if turns && kindOf(o.Get("prompt")) == '"' {
		keys = append(keys, "prompt")
	}
	for _, key := range keys {
		g.open[key] = all
	}
	if !all {
		return ""
	}
	return repr
}

// listsIn tells whether replies are the JSON of lists of texts, as RM-Bench and
// RewardBench 2 have them: the user says so, or counts or a domain stand beside them.
func (g *reading) listsIn(o Object, keys []string) bool {
	if len(keys) != 2 {
		return false
	}
	a, b := textsIn(o, keys[0]), textsIn(o, keys[1])
	named := g.named && (g.format.name == "rmbench" || g.format.name == "rewardbench2")
	return a > 0 && b > 0 && (named || has(o, "num_correct", "num_incorrect", "total_completions") || has(o, "domain") && a == 3 && b == 3)
}

// turnsIn tells whether prompt and replies are the JSON of lists of as many texts:
// Arena's turns in cells.
func turnsIn(o Object, keys []string) bool {
	if len(keys) != 2 {
		return false
	}
	n := textsIn(o, "prompt")
	return n > 0 && textsIn(o, keys[0]) == n && textsIn(o, keys[1]) == n
}

// textsIn counts the texts of a list, which may stand as JSON in a text; 0 if it has
// anything else.
func textsIn(o Object, key string) int {
	text, err := unquote(o.Get(key))
	raw := json.RawMessage(jsonIn(text))
	if err != nil {
		raw = o.Get(key)
	}
	items, err := elements(raw)
	if err != nil {
		return 0
	}
	for _, item := range items {
		if k := kindOf(item); k != '"' && k != 'n' {
			return 0
		}
	}
	return len(items)
}
