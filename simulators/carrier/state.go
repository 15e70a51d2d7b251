package carrier

import (
	"maps"
	"slices"
	"time"
)

// The states of a shipment.
const (
	booked     = "booked"
	dispatched = "dispatched"
	delivered  = "delivered"
	cancelled  = "cancelled"
)

// shipment is a shipment as the journal stores it and the API returns it.
type shipment struct {
	ID           string     `json:"id"`
	Reference    string     `json:"reference"`
	State        string     `json:"state"`
	Tracking     string     `json:"tracking,omitempty"`
	Address      address    `json:"address"`
	Items        []item     `json:"items"`
	BookedAt     time.Time  `json:"bookedAt"`
	DispatchedAt *time.Time `json:"dispatchedAt,omitempty"`
	DeliveredAt  *time.Time `json:"deliveredAt,omitempty"`
	CancelledAt  *time.Time `json:"cancelledAt,omitempty"`
}

type address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

// undeliverable returns why the address is undeliverable, or "" if it is deliverable.
func (a address) undeliverable() string {
	switch {
	case a.City == "":
		return "the address has no city"
	case a.PostalCode == "00000":
		return "the postal code 00000 does not exist"
	case a.Country == "XX" || a.Country == "AQ":
		return "the carrier does not deliver to the country " + a.Country
	default:
		return ""
	}
}

type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// rejection is a booking that was rejected. It is final.
type rejection struct {
	Reference string    `json:"reference"`
	Code      string    `json:"code"`
	Detail    string    `json:"detail"`
	At        time.Time `json:"at"`
}

// webhook is the body of a webhook.
type webhook struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Reference  string    `json:"reference"`
	ShipmentID string    `json:"shipmentId"`
	Tracking   string    `json:"tracking"`
	OccurredAt time.Time `json:"occurredAt"`
}

// entry is one entry of the journal. A transition and its webhook are one entry, so that neither is restored without
// the other.
type entry struct {
	At           time.Time  `json:"at"`
	Shipment     *shipment  `json:"shipment,omitempty"` // the new version
	Rejection    *rejection `json:"rejection,omitempty"`
	Webhook      *webhook   `json:"webhook,omitempty"`
	Acknowledged string     `json:"acknowledged,omitempty"` // id of a webhook
}

type state struct {
	shipments  map[string]*shipment  // each is immutable, so it may be used after the lock was released
	order      []string              // ids of shipments, oldest first
	byRef      map[string]string     // reference to shipment id
	rejections map[string]*rejection // by reference
	webhooks   map[string]*webhook   // not acknowledged, by id

	// toDispatch and toDeliver hold the ids of shipments in the order in which their transitions are due, which is that
	// of arrival, because the delay is the same for all. They may contain shipments that are cancelled.
	toDispatch, toDeliver []string
}

func newState() *state {
	return &state{
		shipments: map[string]*shipment{}, byRef: map[string]string{}, rejections: map[string]*rejection{},
		webhooks: map[string]*webhook{},
	}
}

func (st *state) apply(e entry) {
	if sh := e.Shipment; sh != nil {
		st.shipments[sh.ID] = sh
		switch sh.State {
		case booked:
			st.order = append(st.order, sh.ID)
			st.byRef[sh.Reference] = sh.ID
			st.toDispatch = append(st.toDispatch, sh.ID)
		case dispatched:
			st.toDeliver = append(st.toDeliver, sh.ID)
		}
	}
	if e.Rejection != nil {
		st.rejections[e.Rejection.Reference] = e.Rejection
	}
	if e.Webhook != nil {
		st.webhooks[e.Webhook.ID] = e.Webhook
	}
	delete(st.webhooks, e.Acknowledged)
}

func (st *state) byReference(reference string) *shipment { return st.shipments[st.byRef[reference]] }

// pendingWebhooks returns the webhooks that are not acknowledged, oldest first.
func (st *state) pendingWebhooks() []*webhook {
	return slices.SortedFunc(maps.Values(st.webhooks), func(a, b *webhook) int {
		return a.OccurredAt.Compare(b.OccurredAt)
	})
}
