package reconcile

import (
	"encoding/json"
	"time"
)

// The parties whose books are read.
const (
	Order     = "order"
	Inventory = "inventory"
	Payment   = "payment"
	Shipping  = "shipping"
	Processor = "processor"
	Carrier   = "carrier"
)

// Parties are all of them.
var Parties = []string{Order, Inventory, Payment, Shipping, Processor, Carrier}

// services are those with an outbox and an inbox.
var services = []string{Order, Inventory, Payment, Shipping}

// books is one reading of everything. What could not be read is nil, and missing says why.
type books struct {
	at        time.Time
	order     *serviceBook[orderEntries]
	inventory *serviceBook[inventoryEntries]
	payment   *serviceBook[paymentEntries]
	shipping  *serviceBook[shippingEntries]
	processor *processorBook
	carrier   *carrierBook
	depths    map[string]int // messages by queue
	missing   []gap
}

// gap is a part of a reading that is not there.
type gap struct {
	party string // or broker
	err   error
	final bool // asking again will not help
}

const broker = "broker"

// list is a list that must be there, be it empty: an answer without it is not the book that was asked for.
type list[T any] struct {
	items []T
	given bool
}

func (l *list[T]) UnmarshalJSON(b []byte) error {
	l.given = string(b) != "null"
	return json.Unmarshal(b, &l.items)
}

// serviceBook is what a service serves: what its bus has done, and its own entries.
type serviceBook[E any] struct {
	Service string    `json:"service"`
	At      time.Time `json:"at"`
	Events  bus       `json:"events"`
	Entries E         `json:"entries"`
}

type (
	bus struct {
		Audited    bool              `json:"audited"`       // everything that was published is listed
		TakenSince time.Time         `json:"consumedSince"` // older marks may have been forgotten
		Outbox     list[unpublished] `json:"outbox"`
		Published  list[published]   `json:"published"`
		Taken      list[taken]       `json:"consumed"`
	}
	unpublished struct {
		ID          string    `json:"id"`
		Type        string    `json:"type"`
		Subject     string    `json:"subject"`
		CreatedAt   time.Time `json:"createdAt"`
		AvailableAt time.Time `json:"availableAt,omitzero"` // only of scheduled events
		ParkedAt    time.Time `json:"parkedAt,omitzero"`    // only of parked ones
		Refusals    int       `json:"rejections"`
		LastError   string    `json:"lastError,omitempty"`
	}
	published struct {
		ID      string    `json:"id"`
		Type    string    `json:"type"`
		Subject string    `json:"subject"`
		At      time.Time `json:"at"`
	}
	taken struct {
		Reaction string    `json:"handler"`
		EventID  string    `json:"eventId"`
		At       time.Time `json:"at"`
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
		WaitingFor   string    `json:"missing"`
		StallsAt     time.Time `json:"stallsAt,omitzero"` // when it will have waited for too long; not once it has ended
		Stalled      bool      `json:"stalled"`
	}
)

// The states of an order.
const (
	completed = "completed"
	cancelled = "cancelled"
)

var orderStates = []string{"pending", "reserved", "paid", "shipped", completed, "cancelling", cancelled}

func (o order) terminal() bool { return o.State == completed || o.State == cancelled }

// since is when the order last moved, as far as the book tells.
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
		Supplied int    `json:"received"`
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

// The states of a reservation that holds, or has taken, stock.
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

// What both shipping and the carrier call a parcel.
const (
	booked     = "booked"
	dispatched = "dispatched"
	delivered  = "delivered"
)

// parcel is what the carrier must have if shipping is right; "" is none.
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
	processorBook struct {
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
	carrierBook struct {
		Shipments list[parcel] `json:"shipments"`
	}
	parcel struct {
		ID        string `json:"id"`
		Reference string `json:"reference"` // the order
		State     string `json:"state"`
	}
)

// lacks says which list a book lacks; "" if none.
func (b bus) lacks() string {
	switch {
	case !b.Outbox.given:
		return "events.outbox"
	case !b.Published.given:
		return "events.published"
	case !b.Taken.given:
		return "events.taken"
	}
	return ""
}

// buses are those of the services that were read.
func (b books) buses() map[string]serviceBus {
	all := map[string]serviceBus{}
	if b.order != nil {
		all[Order] = serviceBus{b.order.At, b.order.Events}
	}
	if b.inventory != nil {
		all[Inventory] = serviceBus{b.inventory.At, b.inventory.Events}
	}
	if b.payment != nil {
		all[Payment] = serviceBus{b.payment.At, b.payment.Events}
	}
	if b.shipping != nil {
		all[Shipping] = serviceBus{b.shipping.At, b.shipping.Events}
	}
	return all
}

// serviceBus is a bus and the moment, by the service's own clock, at which its book was read.
type serviceBus struct {
	at time.Time
	bus
}

// logBegin is when the oldest event that is listed was published; as long as none is, the log is about to begin.
func (b serviceBus) logBegin() time.Time {
	begin := b.at
	for _, p := range b.Published.items {
		if p.At.Before(begin) {
			begin = p.At
		}
	}
	return begin
}

func (b books) has(party string) bool {
	switch party {
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
