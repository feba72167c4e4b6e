package llm

import (
	"errors"
	"strings"
	"time"
)

// Kind says what went wrong with a call, so that a caller can tell what to
// retry, what to record and what to show.
type Kind string

// The kinds of errors.
const (
	KindContext      Kind = "context_too_long" // prompt, or prompt and answer, exceed the context length
	KindEmpty        Kind = "empty_reply"      // the model ended its turn at once
	KindThinking     Kind = "thinking_budget"  // the tokens went into thoughts, no answer came
	KindNoLogprobs   Kind = "no_logprobs"      // log-probabilities were asked for and not given
	KindBusy         Kind = "server_busy"      // the server's queue is full or its rate limit reached
	KindModelMissing Kind = "model_missing"
	KindModelChanged Kind = "model_changed" // other weights than the job began with
	KindWrongModel   Kind = "wrong_model"   // another model answered than was asked
	KindServerAbsent Kind = "server_absent" // nothing answers at the address
	KindServer       Kind = "server_error"
	KindTimeout      Kind = "timeout"     // the server stopped sending
	KindTruncated    Kind = "truncated"   // for callers to whom a cut-off answer is of no use
	KindStopped      Kind = "stopped"     // something else ended the answer: a filter, a call of a tool
	KindRequest      Kind = "bad_request" // the server refuses the request as it is
	KindOffFormat    Kind = "off_format"  // the answer, or the server's response, cannot be read
)

// says has each kind in words, for errors without a cause of their own.
var says = map[Kind]string{
	KindContext:      "the text is longer than the context length",
	KindEmpty:        "the model gave an empty reply",
	KindThinking:     "the model spent its whole budget of tokens on thinking",
	KindNoLogprobs:   "the server gave no log-probabilities",
	KindBusy:         "the server is busy",
	KindModelMissing: "the server does not have the model",
	KindModelChanged: "the server has other weights under the model's name",
	KindWrongModel:   "another model answered",
	KindServerAbsent: "no server answers",
	KindServer:       "the server failed",
	KindTimeout:      "the server stopped answering",
	KindTruncated:    "the token limit cut the answer off",
	KindStopped:      "the server ended the answer",
	KindRequest:      "the server refused the request",
	KindOffFormat:    "the answer is not in the form that was asked for",
}

// Transient tells whether the same call may succeed later with nothing changed
// by the user. [Client.Chat] has retried what is worth it by itself; a job can
// ask again in its next run.
func (k Kind) Transient() bool {
	switch k {
	case KindBusy, KindServer, KindServerAbsent, KindTimeout:
		return true
	}
	return false
}

// Error is an error of a call. It never holds a password or an API key.
type Error struct {
	Kind  Kind
	Op    string // what was done, as in "chat"
	Model string // as the user named it, without passwords
	Host  string // without user name and password
	Err   error  // the cause; may be nil
	Hint  string // what a person can do about it; may be empty

	retry bool          // worth asking again by itself
	wait  time.Duration // how long the server asked to wait before, 0 if it did not
	fatal bool          // every call of the job would fail alike
	page  bool          // a web page came where an answer belongs
	said  string        // what a server said that refused, with the names of parameters
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Model != "" {
		b.WriteString(" with " + e.Model)
	}
	// A model's own name may already hold the address.
	if e.Host != "" && !strings.Contains(e.Model, e.Host) {
		b.WriteString(" at " + e.Host)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if e.Err == nil {
		b.WriteString(says[e.Kind])
	} else {
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf gives the kind of the [Error] in err's chain, "" if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// HintOf gives the hint of the [Error] in err's chain, "" if there is none.
func HintOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}

// Fatal tells whether a whole job should stop, because every other call would
// fail in the same way: no server, no such model, a refused key, an option the
// server does not take, too little memory for the model.
func Fatal(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.fatal || e.Kind == KindServerAbsent || e.Kind == KindModelMissing)
}
