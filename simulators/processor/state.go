package processor

import "time"

// entry is one line of the book: an effect together with the answer saved for it, so that neither can be there without
// the other.
type entry struct {
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	// Intent is the whole intent as it is from now on.
	Intent *intent `json:"intent,omitempty"`
	// Saved is what the request's idempotency key answers from now on.
	Saved *savedAnswer `json:"saved,omitempty"`
}

const opForget = "forget_keys"

type state struct {
	intents map[string]*intent // never changed in place: an intent read under the lock may be used without it
	order   []string           // ids of intents, oldest first
	refunds map[string]string  // refund id to intent id
	saved   map[string]*savedAnswer
}

func newState() *state {
	return &state{intents: map[string]*intent{}, refunds: map[string]string{}, saved: map[string]*savedAnswer{}}
}

func (st *state) apply(e entry) {
	if in := e.Intent; in != nil {
		if st.intents[in.ID] == nil {
			st.order = append(st.order, in.ID)
		}
		st.intents[in.ID] = in
		for _, r := range in.Refunds {
			st.refunds[r.ID] = in.ID
		}
	}
	if e.Saved != nil {
		st.saved[e.Saved.Key] = e.Saved
	}
	if e.Operation == opForget {
		clear(st.saved)
	}
}

// orderOf names the order that a payment intent is for, or "" if it does not say or does not exist.
func (st *state) orderOf(intentID string) string {
	if in := st.intents[intentID]; in != nil {
		return in.orderID()
	}
	return ""
}
