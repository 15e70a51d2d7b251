package reconcile

import (
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/audit"
	eventsaudit "github.com/quadrille-dev/quadrille/pkg/events/audit"
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

// serviceSnapshot is the snapshot of a service: its events, and its own entries. A list that the service has not sent is
// nil; one without rows is empty.
type serviceSnapshot[E any] struct {
	Service string               `json:"service"`
	At      time.Time            `json:"at"`
	Events  eventsaudit.Snapshot `json:"events"`
	Entries E                    `json:"entries"`
}

// The entries of each service. Their keys are the list names of contracts/audit.
type (
	orderEntries struct {
		Orders []order `json:"orders"`
	}
	inventoryEntries struct {
		Products     []audit.Product     `json:"products"`
		Reservations []audit.Reservation `json:"reservations"`
	}
	paymentEntries struct {
		Payments []audit.Payment `json:"payments"`
	}
	shippingEntries struct {
		Shipments []shipment `json:"shipments"`
	}

	order    audit.Order
	shipment audit.Shipment
)

// The final states of an order. A cancelled parcel has the same state.
const (
	completed = contracts.OrderStateCompleted
	cancelled = contracts.OrderStateCancelled
)

// orderStates are all states of an order.
var orderStates = []string{
	contracts.OrderStatePending, contracts.OrderStateReserved, contracts.OrderStatePaid, contracts.OrderStateShipped,
	contracts.OrderStateCompleted, contracts.OrderStateCancelling, contracts.OrderStateCancelled,
}

func (o order) terminal() bool { return o.State == completed || o.State == cancelled }

// since returns when the order last progressed, as far as the snapshot shows.
func (o order) since() time.Time {
	if o.WaitingSince.After(o.PlacedAt) {
		return o.WaitingSince
	}
	return o.PlacedAt
}

// The states of a reservation whose units are reserved, or have left the stock.
const (
	reserved  = "reserved"
	committed = "committed"
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
		PaymentIntents []intent `json:"paymentIntents"`
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
		Shipments []parcel `json:"shipments"`
	}
	parcel struct {
		ID        string `json:"id"`
		Reference string `json:"reference"` // the order
		State     string `json:"state"`
	}
)

// complete reports whether the snapshot has all its lists.
func complete(b eventsaudit.Snapshot) bool {
	return b.Outbox != nil && b.Published != nil && b.Consumed != nil
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
	eventsaudit.Snapshot
}

// logBegin returns when the oldest listed event was published. If there is none, the log begins with this snapshot.
func (b serviceAudit) logBegin() time.Time {
	begin := b.at
	for _, p := range b.Published {
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
