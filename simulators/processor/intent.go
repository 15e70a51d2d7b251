package processor

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// The states of a payment intent, as Stripe names them.
const (
	requiresPaymentMethod = "requires_payment_method"
	requiresConfirmation  = "requires_confirmation"
	succeeded             = "succeeded"
	canceled              = "canceled"
)

// intent is a payment intent as the journal stores it. Amounts are in minor units.
type intent struct {
	ID                 string            `json:"id"`
	Amount             int64             `json:"amount"`
	Currency           string            `json:"currency"`
	Status             string            `json:"status"`
	PaymentMethod      string            `json:"paymentMethod,omitempty"`
	Description        string            `json:"description,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
	CreatedAt          time.Time         `json:"createdAt"`
	CapturedAt         *time.Time        `json:"capturedAt,omitempty"`
	Captures           int               `json:"captures"`
	Charge             string            `json:"charge,omitempty"`
	CanceledAt         *time.Time        `json:"canceledAt,omitempty"`
	CancellationReason string            `json:"cancellationReason,omitempty"`
	LastError          *lastError        `json:"lastError,omitempty"`
	Refunds            []refund          `json:"refunds,omitempty"`
}

// lastError is the error of the last declined charge.
type lastError struct {
	Type          string `json:"type"`
	Code          string `json:"code"`
	DeclineCode   string `json:"decline_code,omitempty"`
	Message       string `json:"message"`
	Charge        string `json:"charge"`
	PaymentMethod any    `json:"payment_method,omitempty"`
}

func (in intent) orderID() string { return in.Metadata["order_id"] }

func (in intent) received() int64 {
	if in.Status == succeeded {
		return in.Amount
	}
	return 0
}

func (in intent) refunded() int64 {
	var sum int64
	for _, r := range in.Refunds {
		sum += r.Amount
	}
	return sum
}

// confirm charges the payment method, or that of the intent if method is "".
func (in intent) confirm(method string, now time.Time) result {
	if in.Status == succeeded || in.Status == canceled {
		return result{err: in.unexpectedState("confirm")}
	}
	if method != "" {
		in.PaymentMethod = method
	}
	if in.PaymentMethod == "" {
		e := in.unexpectedState("confirm")
		e.Message = "The payment intent has no payment method."
		return result{err: e}
	}
	card, known := testCards[in.PaymentMethod]
	if !known {
		return result{err: newMissingPaymentMethod(in.PaymentMethod)}
	}
	in.Charge = newID("ch")
	if card.code != "" {
		in.LastError = &lastError{
			Type: "card_error", Code: card.code, DeclineCode: card.declineCode, Message: card.message, Charge: in.Charge,
			PaymentMethod: map[string]string{"id": in.PaymentMethod, "object": "payment_method", "type": "card"},
		}
		in.Status, in.PaymentMethod = requiresPaymentMethod, ""
		return result{intent: &in, err: &apiError{
			status: http.StatusPaymentRequired, Type: "card_error", Code: card.code, DeclineCode: card.declineCode,
			Message: card.message, Charge: in.Charge, PaymentIntent: in.view(),
		}}
	}
	in.Status, in.CapturedAt, in.LastError = succeeded, &now, nil
	in.Captures++
	return result{intent: &in, body: in.view()}
}

func (in intent) cancel(reason string, now time.Time) result {
	if in.Status == succeeded || in.Status == canceled {
		return result{err: in.unexpectedState("cancel")}
	}
	in.Status, in.CanceledAt, in.CancellationReason = canceled, &now, reason
	return result{intent: &in, body: in.view()}
}

func (in intent) unexpectedState(verb string) *apiError {
	e := newInvalidRequest(http.StatusBadRequest, "payment_intent_unexpected_state", "",
		"Cannot "+verb+" a payment intent with the status "+in.Status+".")
	e.PaymentIntent = in.view()
	return e
}

// view returns the intent in the format of Stripe's API.
func (in intent) view() map[string]any {
	return map[string]any{
		"id":                        in.ID,
		"object":                    "payment_intent",
		"livemode":                  false,
		"amount":                    in.Amount,
		"amount_capturable":         0,
		"amount_received":           in.received(),
		"currency":                  in.Currency,
		"status":                    in.Status,
		"capture_method":            "automatic_async",
		"confirmation_method":       "automatic",
		"client_secret":             in.ID + "_secret_sim",
		"created":                   in.CreatedAt.Unix(),
		"canceled_at":               unixOrNull(in.CanceledAt),
		"cancellation_reason":       orNull(in.CancellationReason),
		"description":               orNull(in.Description),
		"latest_charge":             orNull(in.Charge),
		"last_payment_error":        in.LastError,
		"metadata":                  orEmpty(in.Metadata),
		"next_action":               nil,
		"payment_method":            orNull(in.PaymentMethod),
		"payment_method_types":      []string{"card"},
		"automatic_payment_methods": nil,
	}
}

func readIntent(st *state, id string, f form) (body any, orderID string, err *apiError) {
	if err := f.checkNames(); err != nil {
		return nil, "", err
	}
	in := st.intents[id]
	if in == nil {
		return nil, "", newMissingResource("payment_intent", id, "intent", http.StatusNotFound)
	}
	return in.view(), in.orderID(), nil
}

func parseCreate(_ string, f form) (command, *apiError) {
	err := f.checkNames("amount", "currency", "payment_method", "confirm", "description", "metadata[]", "off_session",
		"return_url", "capture_method", "payment_method_types[]", "automatic_payment_methods[]")
	if err != nil {
		return command{}, err
	}
	amount, err := f.amount("amount")
	if err != nil {
		return command{}, err
	}
	if amount == 0 {
		return command{}, newMissingParameter("amount")
	}
	currency, err := f.currency("currency")
	if err != nil {
		return command{}, err
	}
	if method := f.get("capture_method"); !slices.Contains([]string{"", "automatic", "automatic_async"}, method) {
		return command{}, newInvalidRequest(http.StatusBadRequest, "", "capture_method", "Only automatic capture is supported.")
	}
	confirm, err := f.flag("confirm")
	if err != nil {
		return command{}, err
	}
	metadata, method, description := f.group("metadata"), f.get("payment_method"), f.get("description")
	return command{
		operation: opCreate,
		orderID:   func(*state) string { return metadata["order_id"] },
		execute: func(_ *state, now time.Time) result {
			if _, known := testCards[method]; method != "" && !known {
				return result{err: newMissingPaymentMethod(method)}
			}
			in := intent{
				ID: newID("pi"), Amount: amount, Currency: currency, Status: requiresConfirmation, PaymentMethod: method,
				Description: description, Metadata: maps.Clone(metadata), CreatedAt: now,
			}
			if method == "" {
				in.Status = requiresPaymentMethod
			}
			if confirm {
				return in.confirm("", now)
			}
			return result{intent: &in, body: in.view()}
		},
	}, nil
}

func parseConfirm(id string, f form) (command, *apiError) {
	if err := f.checkNames("payment_method", "off_session", "return_url"); err != nil {
		return command{}, err
	}
	method := f.get("payment_method")
	return newIntentCommand(opConfirm, id, func(in *intent, now time.Time) result { return in.confirm(method, now) }), nil
}

func parseCancel(id string, f form) (command, *apiError) {
	if err := f.checkNames("cancellation_reason"); err != nil {
		return command{}, err
	}
	reason := f.get("cancellation_reason")
	if !slices.Contains([]string{"", "duplicate", "fraudulent", "requested_by_customer", "abandoned"}, reason) {
		return command{}, newInvalidRequest(http.StatusBadRequest, "", "cancellation_reason", "Unknown cancellation_reason.")
	}
	return newIntentCommand(opCancel, id, func(in *intent, now time.Time) result { return in.cancel(reason, now) }), nil
}

// newIntentCommand returns a command on an existing payment intent.
func newIntentCommand(operation, id string, execute func(*intent, time.Time) result) command {
	return command{
		operation: operation,
		orderID:   func(st *state) string { return st.orderID(id) },
		execute: func(st *state, now time.Time) result {
			in := st.intents[id]
			if in == nil {
				return result{err: newMissingResource("payment_intent", id, "intent", http.StatusNotFound)}
			}
			return execute(in, now)
		},
	}
}

func unixOrNull(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.Unix()
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
