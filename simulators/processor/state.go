package processor

import "time"

// entry is one entry of the journal. An effect and the response saved for it are one entry, so that neither is restored
// without the other.
type entry struct {
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	// Intent is the new version of the intent.
	Intent *intent `json:"intent,omitempty"`
	// Saved is the response that the idempotency key of the request replays from now on.
	Saved *savedResponse `json:"saved,omitempty"`
}

const opPurgeKeys = "purge_keys"

type state struct {
	intents map[string]*intent // each intent is immutable, so it may be used after the lock was released
	order   []string           // ids of intents, oldest first
	refunds map[string]string  // refund id to intent id
	saved   map[string]*savedResponse
}

func newState() *state {
	return &state{intents: map[string]*intent{}, refunds: map[string]string{}, saved: map[string]*savedResponse{}}
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
	if e.Operation == opPurgeKeys {
		clear(st.saved)
	}
}

// orderID returns the order id of a payment intent, or "" if it has none or does not exist.
func (st *state) orderID(intentID string) string {
	if in := st.intents[intentID]; in != nil {
		return in.orderID()
	}
	return ""
}
