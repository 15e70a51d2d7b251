package processor

import (
	"encoding/json"
	"net/http"
)

// apiError is an error in the format of Stripe's API.
type apiError struct {
	status        int
	Type          string         `json:"type"`
	Code          string         `json:"code,omitempty"`
	DeclineCode   string         `json:"decline_code,omitempty"`
	Message       string         `json:"message"`
	Param         string         `json:"param,omitempty"`
	Charge        string         `json:"charge,omitempty"`
	PaymentIntent map[string]any `json:"payment_intent,omitempty"`
}

func newInvalidRequest(status int, code, param, message string) *apiError {
	return &apiError{status: status, Type: "invalid_request_error", Code: code, Param: param, Message: message}
}

func newMissingParameter(param string) *apiError {
	return newInvalidRequest(http.StatusBadRequest, "parameter_missing", param, "Missing required parameter: "+param+".")
}

func newMissingResource(kind, id, param string, status int) *apiError {
	return newInvalidRequest(status, "resource_missing", param, "No such "+kind+": '"+id+"'.")
}

func newMissingPaymentMethod(id string) *apiError {
	return newMissingResource("PaymentMethod", id, "payment_method", http.StatusBadRequest)
}

func newInternalError(message string) *apiError {
	return &apiError{status: http.StatusInternalServerError, Type: "api_error", Message: message}
}

func newJournalError() *apiError {
	return newInternalError("The processor could not write its journal.")
}

func newUnavailable() *apiError {
	return &apiError{
		status: http.StatusServiceUnavailable, Type: "api_error",
		Message: "The processor is unavailable. The request had no effect.",
	}
}

func (e *apiError) response() response { return newResponse(e.status, map[string]any{"error": e}) }

func writeError(w http.ResponseWriter, e *apiError) { e.response().write(w) }

// response is a response as it is sent, and as an idempotency key saves it.
type response struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

func newResponse(status int, body any) response {
	encoded, err := json.Marshal(body)
	if err != nil {
		return newInternalError("The response cannot be encoded as JSON.").response()
	}
	return response{Status: status, Body: encoded}
}

func (r response) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Body)
}
