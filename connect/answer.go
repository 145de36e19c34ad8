package connect

import (
	"fmt"
	"net/http"
)

// Request is one to the REST API, however it came.
type Request struct {
	Method string
	Path   string // escaped, as it came
	Query  string
	Body   []byte
	// Type and Accept are headers; Signature and Algorithm those of requests between workers.
	Type, Accept         string
	Signature, Algorithm string
}

// Response is the answer to one.
type Response struct {
	Status   int
	Type     string // of the content
	Location string
	Allow    string
	Body     []byte
}

// failure is an error with a status of HTTP.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

func failed(status int, format string, args ...any) error {
	return &failure{status, fmt.Sprintf(format, args...)}
}

// notFound is the answer about a connector that is not there.
func notFound(name string) error {
	return failed(http.StatusNotFound, "Connector %s not found", name)
}

const jsonType = "application/json"

// answerJSON makes an answer of a value.
func answerJSON(status int, v any) Response {
	return Response{Status: status, Type: jsonType, Body: plainJSON(v)}
}

// answerError makes an answer of an error. One that says nothing of HTTP is the worker's own.
func answerError(err error) Response {
	status := http.StatusInternalServerError
	if f, ok := err.(*failure); ok {
		status = f.status
	}
	return answerJSON(status, struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}{status, err.Error()})
}
