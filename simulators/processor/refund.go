package processor

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// refund is a refund as the journal stores it, inside its intent.
type refund struct {
	ID        string            `json:"id"`
	Amount    int64             `json:"amount"`
	Reason    string            `json:"reason,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	CreatedAt time.Time         `json:"createdAt"`
}

// refund refunds amount, or the remainder if amount is 0.
func (in intent) refund(amount int64, reason string, metadata map[string]string, now time.Time) result {
	if in.Status != succeeded {
		return result{err: newInvalidRequest(http.StatusBadRequest, "charge_not_refundable", "payment_intent",
			"The payment intent "+in.ID+" has no successful charge to refund.")}
	}
	remaining := in.Amount - in.refunded()
	if remaining == 0 {
		return result{err: newInvalidRequest(http.StatusBadRequest, "charge_already_refunded", "",
			"The charge "+in.Charge+" has been refunded in full.")}
	}
	if amount == 0 {
		amount = remaining
	}
	if amount > remaining {
		return result{err: newInvalidRequest(http.StatusBadRequest, "", "amount",
			fmt.Sprintf("The refund amount %d is greater than the unrefunded amount %d.", amount, remaining))}
	}
	created := refund{ID: newID("re"), Amount: amount, Reason: reason, Metadata: metadata, CreatedAt: now}
	in.Refunds = append(slices.Clone(in.Refunds), created)
	return result{intent: &in, body: created.view(&in)}
}

// view returns the refund in the format of Stripe's API.
func (r refund) view(in *intent) map[string]any {
	return map[string]any{
		"id":             r.ID,
		"object":         "refund",
		"amount":         r.Amount,
		"currency":       in.Currency,
		"charge":         in.Charge,
		"payment_intent": in.ID,
		"created":        r.CreatedAt.Unix(),
		"metadata":       orEmpty(r.Metadata),
		"reason":         orNull(r.Reason),
		"status":         "succeeded",
	}
}

func parseRefund(_ string, f form) (command, *apiError) {
	if err := f.checkNames("payment_intent", "amount", "reason", "metadata[]"); err != nil {
		return command{}, err
	}
	id := f.get("payment_intent")
	if id == "" {
		return command{}, newMissingParameter("payment_intent")
	}
	amount, err := f.amount("amount")
	if err != nil {
		return command{}, err
	}
	reason := f.get("reason")
	if !slices.Contains([]string{"", "duplicate", "fraudulent", "requested_by_customer"}, reason) {
		return command{}, newInvalidRequest(http.StatusBadRequest, "", "reason", "Unknown reason.")
	}
	metadata := f.group("metadata")
	return command{
		operation: opRefund,
		orderID:   func(st *state) string { return st.orderID(id) },
		execute: func(st *state, now time.Time) result {
			in := st.intents[id]
			if in == nil {
				return result{err: newMissingResource("payment_intent", id, "payment_intent", http.StatusBadRequest)}
			}
			return in.refund(amount, reason, metadata, now)
		},
	}, nil
}

func readRefund(st *state, id string, f form) (body any, orderID string, err *apiError) {
	if err := f.checkNames(); err != nil {
		return nil, "", err
	}
	in := st.intents[st.refunds[id]]
	if in == nil {
		return nil, "", newMissingResource("refund", id, "id", http.StatusNotFound)
	}
	return in.Refunds[in.refundIndex(id)].view(in), in.orderID(), nil
}

// listRefunds returns a page of the refunds of one payment intent, latest first.
func listRefunds(st *state, _ string, f form) (body any, orderID string, err *apiError) {
	if err := f.checkNames("payment_intent", "limit", "starting_after"); err != nil {
		return nil, "", err
	}
	id := f.get("payment_intent")
	if id == "" {
		return nil, "", newMissingParameter("payment_intent")
	}
	limit, err := f.amount("limit")
	if err != nil {
		return nil, "", err
	}
	if limit == 0 {
		limit = 10
	}
	if limit > 100 {
		return nil, "", newInvalidRequest(http.StatusBadRequest, "parameter_invalid_integer", "limit", "The limit is at most 100.")
	}
	in := st.intents[id]
	if in == nil {
		return nil, "", newMissingResource("payment_intent", id, "payment_intent", http.StatusBadRequest)
	}
	end := len(in.Refunds)
	if after := f.get("starting_after"); after != "" {
		if end = in.refundIndex(after); end < 0 {
			return nil, "", newMissingResource("refund", after, "starting_after", http.StatusBadRequest)
		}
	}
	start := max(0, end-int(limit))
	page := make([]any, 0, end-start)
	for _, r := range slices.Backward(in.Refunds[start:end]) {
		page = append(page, r.view(in))
	}
	return map[string]any{"object": "list", "url": "/v1/refunds", "has_more": start > 0, "data": page}, in.orderID(), nil
}

func (in intent) refundIndex(id string) int {
	return slices.IndexFunc(in.Refunds, func(r refund) bool { return r.ID == id })
}
