package carrier

import (
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

// shipment is one parcel, as the book keeps it and the API shows it.
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

// undeliverable says why nothing can be sent there, or "".
func (a address) undeliverable() string {
	switch {
	case a.City == "":
		return "the address has no city"
	case a.PostalCode == "00000":
		return "there is no postal code 00000"
	case a.Country == "XX" || a.Country == "AQ":
		return "nothing is delivered to the country " + a.Country
	default:
		return ""
	}
}

type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// refusal is a booking that was turned down, for good.
type refusal struct {
	Reference string    `json:"reference"`
	Code      string    `json:"code"`
	Detail    string    `json:"detail"`
	At        time.Time `json:"at"`
}

// notice is the body of a report by webhook.
type notice struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Reference  string    `json:"reference"`
	ShipmentID string    `json:"shipmentId"`
	Tracking   string    `json:"tracking"`
	OccurredAt time.Time `json:"occurredAt"`
}

// entry is one line of the book. A step of a parcel and the notice of it are one entry, so that neither can be there
// without the other.
type entry struct {
	At       time.Time `json:"at"`
	Shipment *shipment `json:"shipment,omitempty"` // as it is from now on
	Refusal  *refusal  `json:"refusal,omitempty"`
	Notice   *notice   `json:"notice,omitempty"`
	Reported string    `json:"reported,omitempty"` // id of a notice that was taken
}

type state struct {
	shipments map[string]*shipment // never changed in place: one read under the lock may be used without it
	order     []string             // ids of shipments, oldest first
	byRef     map[string]string    // reference to shipment id
	refusals  map[string]*refusal  // by reference
	notices   map[string]*notice   // not taken yet, by id

	// Ids of what waits to move, the first to come first. Delays are the same for all, so the first is due first;
	// shipments that were cancelled meanwhile are passed over.
	toHandOver, toDeliver []string
}

func newState() *state {
	return &state{
		shipments: map[string]*shipment{}, byRef: map[string]string{}, refusals: map[string]*refusal{},
		notices: map[string]*notice{},
	}
}

func (st *state) apply(e entry) {
	if sh := e.Shipment; sh != nil {
		st.shipments[sh.ID] = sh
		switch sh.State {
		case booked:
			st.order = append(st.order, sh.ID)
			st.byRef[sh.Reference] = sh.ID
			st.toHandOver = append(st.toHandOver, sh.ID)
		case dispatched:
			st.toDeliver = append(st.toDeliver, sh.ID)
		}
	}
	if e.Refusal != nil {
		st.refusals[e.Refusal.Reference] = e.Refusal
	}
	if e.Notice != nil {
		st.notices[e.Notice.ID] = e.Notice
	}
	delete(st.notices, e.Reported)
}

func (st *state) byReference(reference string) *shipment { return st.shipments[st.byRef[reference]] }

func (st *state) unreported() []*notice {
	notices := make([]*notice, 0, len(st.notices))
	for _, n := range st.notices {
		notices = append(notices, n)
	}
	slices.SortFunc(notices, func(a, b *notice) int { return a.OccurredAt.Compare(b.OccurredAt) })
	return notices
}
