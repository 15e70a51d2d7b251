package reconcile

import (
	"encoding/json"
	"time"

	domain "github.com/quadrille-dev/quadrille/services/order"
)

// The sources of audit snapshots.
const (
	Order     = "order"
	Inventory = "inventory"
	Payment   = "payment"
	Shipping  = "shipping"
	Processor = "processor"
	Carrier   = "carrier"
)

// Sources are all services and simulators.
var Sources = []string{Order, Inventory, Payment, Shipping, Processor, Carrier}

// services are the sources with an outbox and an inbox.
var services = []string{Order, Inventory, Payment, Shipping}

// snapshots are the audit snapshots of all sources. One that could not be read is nil, and missing has the reason.
type snapshots struct {
	at        time.Time
	order     *serviceSnapshot[orderEntries]
	inventory *serviceSnapshot[inventoryEntries]
	payment   *serviceSnapshot[paymentEntries]
	shipping  *serviceSnapshot[shippingEntries]
	processor *processorSnapshot
	carrier   *carrierSnapshot
	depths    map[string]int // messages by queue
	missing   []gap
}

// gap is a source that could not be read.
type gap struct {
	source string // of snapshots, or broker
	err    error
	final  bool // another request would fail as well
}

const broker = "broker"

// list is a list that a snapshot must have, even if it is empty.
type list[T any] struct {
	items []T
	given bool
}

func (l *list[T]) UnmarshalJSON(b []byte) error {
	l.given = string(b) != "null"
	return json.Unmarshal(b, &l.items)
}

// serviceSnapshot is the snapshot of a service: its events, and its own entries.
type serviceSnapshot[E any] struct {
	Service string     `json:"service"`
	At      time.Time  `json:"at"`
	Events  eventAudit `json:"events"`
	Entries E          `json:"entries"`
}

type (
	eventAudit struct {
		Audited       bool              `json:"audited"`       // all published events are listed
		ConsumedSince time.Time         `json:"consumedSince"` // older inbox records may have been purged
		Outbox        list[unpublished] `json:"outbox"`
		Published     list[published]   `json:"published"`
		Consumed      list[consumed]    `json:"consumed"`
	}
	unpublished struct {
		ID          string    `json:"id"`
		Type        string    `json:"type"`
		Subject     string    `json:"subject"`
		CreatedAt   time.Time `json:"createdAt"`
		AvailableAt time.Time `json:"availableAt,omitzero"` // only of scheduled events
		ParkedAt    time.Time `json:"parkedAt,omitzero"`    // only of parked ones
		Rejections  int       `json:"rejections"`
		LastError   string    `json:"lastError,omitempty"`
	}
	published struct {
		ID      string    `json:"id"`
		Type    string    `json:"type"`
		Subject string    `json:"subject"`
		At      time.Time `json:"at"`
	}
	consumed struct {
		Handler string    `json:"handler"`
		EventID string    `json:"eventId"`
		At      time.Time `json:"at"`
	}
)

type money struct {
	Amount   int64  `json:"amount"` // minor units
	Currency string `json:"currency"`
}

type (
	orderEntries struct {
		Orders list[order] `json:"orders"`
	}
	order struct {
		OrderID      string    `json:"orderId"`
		State        string    `json:"state"`
		Reason       string    `json:"reason"`
		Total        money     `json:"total"`
		PlacedAt     time.Time `json:"placedAt"`
		WaitingSince time.Time `json:"waitingSince,omitzero"`
		Missing      string    `json:"missing"`
		StallsAt     time.Time `json:"stallsAt,omitzero"` // when it will have waited too long; zero once it has ended
		Stalled      bool      `json:"stalled"`
	}
)

// The final states of an order. A cancelled parcel has the same state.
const (
	completed = string(domain.Completed)
	cancelled = string(domain.Cancelled)
)

// orderStates returns all states of an order.
func orderStates() []string {
	states := make([]string, len(domain.States))
	for i, state := range domain.States {
		states[i] = string(state)
	}
	return states
}

func (o order) terminal() bool { return o.State == completed || o.State == cancelled }

// since returns when the order last progressed, as far as the snapshot shows.
func (o order) since() time.Time {
	if o.WaitingSince.After(o.PlacedAt) {
		return o.WaitingSince
	}
	return o.PlacedAt
}

type (
	inventoryEntries struct {
		Products     list[product]     `json:"products"`
		Reservations list[reservation] `json:"reservations"`
	}
	product struct {
		SKU      string `json:"sku"`
		Received int    `json:"received"`
		OnHand   int    `json:"onHand"`
		Reserved int    `json:"reserved"`
		Deleted  bool   `json:"deleted"`
	}
	reservation struct {
		OrderID string `json:"orderId"`
		State   string `json:"state"`
		Items   []item `json:"items"`
	}
	item struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
)

// The states of a reservation whose units are reserved, or have left the stock.
const (
	reserved  = "reserved"
	committed = "committed"
)

type (
	paymentEntries struct {
		Payments list[payment] `json:"payments"`
	}
	payment struct {
		OrderID   string `json:"orderId"`
		State     string `json:"state"`
		Amount    money  `json:"amount"`
		Captured  int64  `json:"captured"`
		Refunded  int64  `json:"refunded"`
		PaymentID string `json:"paymentId"`
	}
)

type (
	shippingEntries struct {
		Shipments list[shipment] `json:"shipments"`
	}
	shipment struct {
		OrderID    string `json:"orderId"`
		State      string `json:"state"`
		ShipmentID string `json:"shipmentId"`
	}
)

// The states of a parcel, at shipping and at the carrier.
const (
	booked     = "booked"
	dispatched = "dispatched"
	delivered  = "delivered"
)

// parcel returns the state that the parcel must have at the carrier; "" is no parcel.
func (s shipment) parcel() string {
	switch s.State {
	case dispatched, delivered:
		return s.State
	case booked, "cancelling":
		return booked
	default:
		return ""
	}
}

type (
	processorSnapshot struct {
		PaymentIntents list[intent] `json:"paymentIntents"`
	}
	intent struct {
		ID       string   `json:"id"`
		OrderID  string   `json:"orderId"`
		Amount   int64    `json:"amount"`
		Currency string   `json:"currency"` // in lower case
		Status   string   `json:"status"`
		Captures int      `json:"captures"`
		Refunds  []refund `json:"refunds"`
	}
	refund struct {
		ID     string `json:"id"`
		Amount int64  `json:"amount"`
	}
)

func (i intent) captured() int64 { return i.Amount * int64(i.Captures) }

func (i intent) refunded() (sum int64) {
	for _, r := range i.Refunds {
		sum += r.Amount
	}
	return sum
}

type (
	carrierSnapshot struct {
		Shipments list[parcel] `json:"shipments"`
	}
	parcel struct {
		ID        string `json:"id"`
		Reference string `json:"reference"` // the order
		State     string `json:"state"`
	}
)

// missingList returns a list that the snapshot does not have, or "".
func (b eventAudit) missingList() string {
	switch {
	case !b.Outbox.given:
		return "events.outbox"
	case !b.Published.given:
		return "events.published"
	case !b.Consumed.given:
		return "events.consumed"
	}
	return ""
}

// audits returns the events of the services that were read.
func (b snapshots) audits() map[string]serviceAudit {
	all := map[string]serviceAudit{}
	if b.order != nil {
		all[Order] = serviceAudit{b.order.At, b.order.Events}
	}
	if b.inventory != nil {
		all[Inventory] = serviceAudit{b.inventory.At, b.inventory.Events}
	}
	if b.payment != nil {
		all[Payment] = serviceAudit{b.payment.At, b.payment.Events}
	}
	if b.shipping != nil {
		all[Shipping] = serviceAudit{b.shipping.At, b.shipping.Events}
	}
	return all
}

// serviceAudit has the events of a service, and the time of the snapshot by the service's own clock.
type serviceAudit struct {
	at time.Time
	eventAudit
}

// logBegin returns when the oldest listed event was published. If there is none, the log begins with this snapshot.
func (b serviceAudit) logBegin() time.Time {
	begin := b.at
	for _, p := range b.Published.items {
		if p.At.Before(begin) {
			begin = p.At
		}
	}
	return begin
}

func (b snapshots) has(source string) bool {
	switch source {
	case Order:
		return b.order != nil
	case Inventory:
		return b.inventory != nil
	case Payment:
		return b.payment != nil
	case Shipping:
		return b.shipping != nil
	case Processor:
		return b.processor != nil
	case Carrier:
		return b.carrier != nil
	default:
		return b.depths != nil
	}
}
