package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"cai/rm"
)

// apiError is an error that a client is told, with its code.
type apiError struct {
	code int
	text string
}

func (e *apiError) Error() string { return e.text }

func bad(format string, args ...any) error {
	return &apiError{code: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// style is the shape of a protocol's errors.
type style int

const (
	openAIStyle style = iota // {"error": {"message", "type", "param", "code"}}
	teiStyle                 // {"error", "error_type"}
)

// code gives the status of an error, and the text that a client may see.
func statusOf(err error) (int, string) {
	var api *apiError
	var large *http.MaxBytesError
	var source *sourceError
	switch {
	case errors.As(err, &api):
		return api.code, api.text
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", large.Limit)
	case errors.As(err, &source), errors.Is(err, rm.ErrUnbound):
		return http.StatusServiceUnavailable, err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, "the request took too long"
	case errors.Is(err, context.Canceled):
		return 499, "the client has gone"
	}
	return http.StatusInternalServerError, err.Error()
}

func kindOf(code int) string {
	switch code {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "BadRequestError"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "AuthenticationError"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "NotFoundError"
	case http.StatusRequestEntityTooLarge:
		return "RequestTooLargeError"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return "OverloadedError"
	}
	return "InternalServerError"
}

var teiKinds = map[int]string{
	http.StatusServiceUnavailable: "Unhealthy", http.StatusFailedDependency: "Backend", http.StatusTooManyRequests: "Overloaded",
	http.StatusUnprocessableEntity: "Validation", http.StatusBadRequest: "Empty", http.StatusRequestEntityTooLarge: "Validation",
}

func writeError(w http.ResponseWriter, st style, err error) int {
	code, text := statusOf(err)
	if st == teiStyle && code == http.StatusBadRequest {
		code = http.StatusUnprocessableEntity
	}
	w.Header().Set("Content-Type", "application/json")
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	var body any
	if st == teiStyle {
		kind := teiKinds[code]
		if kind == "" {
			kind = "Backend"
		}
		body = map[string]any{"error": text, "error_type": kind}
	} else {
		body = map[string]any{"error": map[string]any{"message": text, "type": kindOf(code), "param": nil, "code": code}}
	}
	_ = json.NewEncoder(w).Encode(body) // who does not read it has gone
	return code
}
