package processor

import (
	"encoding/json"
	"net/http"
)

// apiError is an error in Stripe's form.
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

func invalid(status int, code, param, message string) *apiError {
	return &apiError{status: status, Type: "invalid_request_error", Code: code, Param: param, Message: message}
}

func missing(param string) *apiError {
	return invalid(http.StatusBadRequest, "parameter_missing", param, "Missing parameter: "+param+".")
}

func noSuch(what, id, param string, status int) *apiError {
	return invalid(status, "resource_missing", param, "No such "+what+": '"+id+"'.")
}

func noSuchPaymentMethod(id string) *apiError {
	return noSuch("PaymentMethod", id, "payment_method", http.StatusBadRequest)
}

func internalError(message string) *apiError {
	return &apiError{status: http.StatusInternalServerError, Type: "api_error", Message: message}
}

func unavailable() *apiError {
	return &apiError{
		status: http.StatusServiceUnavailable, Type: "api_error",
		Message: "The processor is unavailable; nothing was done.",
	}
}

func (e *apiError) answer() answer { return newAnswer(e.status, map[string]any{"error": e}) }

func writeError(w http.ResponseWriter, e *apiError) { e.answer().write(w) }

// answer is a response as it leaves, and as an idempotency key saves it.
type answer struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

func newAnswer(status int, body any) answer {
	encoded, err := json.Marshal(body)
	if err != nil {
		return internalError("The answer cannot be written as JSON.").answer()
	}
	return answer{Status: status, Body: encoded}
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}
