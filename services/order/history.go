package order

import (
	"fmt"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/aggregate"
)

// HistoryEntry is one line of an order's history: what happened, when, and the event that reported it, if any.
type HistoryEntry struct {
	OrderID     string `gorm:"primaryKey"`
	Position    int64  `gorm:"primaryKey;autoIncrement:false"`
	At          time.Time
	EventType   string
	Description string
}

// TableName returns the name of the history's table.
func (HistoryEntry) TableName() string { return "order_history" }

// Descriptions of facts that the type of their event does not identify.
const (
	customerAsked     = "the customer asked to cancel"
	customerWaits     = "the customer asked to cancel; the deadline's request is decided first"
	deadlineAsked     = "cancellation requested, because the order is still not paid"
	refusedDispatched = "too late to cancel: the parcel had left"
	refusedPaid       = "not cancelled after all: the payment was made in time"
)

// describe returns the history's text for an event that the order received or published. It is empty for an event that
// does not belong into the history.
func describe(eto contracts.ETO) string {
	switch e := eto.(type) {
	case contracts.InventoryReserved:
		return "every item is reserved"
	case contracts.InventoryReservationFailed:
		return "not enough in stock: " + describeShortages(e.Shortages)
	case contracts.InventoryReleased:
		return "the items are for sale again"
	case contracts.PaymentProcessed:
		return "the payment was made"
	case contracts.PaymentFailed:
		return "the card was declined: " + e.Code
	case contracts.PaymentRefunded:
		return "the payment was refunded"
	case contracts.PaymentVoided:
		return "the order will not be charged"
	case contracts.ShipmentCreated:
		return "a parcel is booked with the carrier"
	case contracts.ShipmentDispatched:
		return "the parcel has left, tracking number " + e.Tracking
	case contracts.ShipmentDelivered:
		return "the parcel was delivered"
	case contracts.ShipmentFailed:
		return "the carrier cannot deliver to this address: " + e.Detail
	case contracts.ShipmentCancelRefused:
		if e.Because == contracts.BecausePaid {
			return refusedPaid
		}
		return refusedDispatched
	case contracts.OrderCreated:
		return "the order was placed"
	case contracts.OrderCancelRequested:
		if e.Reason == contracts.ReasonDeadline {
			return deadlineAsked
		}
		return customerAsked
	case contracts.OrderConfirmed:
		return "the order is confirmed"
	case contracts.OrderCompleted:
		return "the order is completed"
	case contracts.OrderCancelled:
		return "the order is cancelled"
	case contracts.OrderStalled:
		return "this takes longer than it should"
	default:
		return ""
	}
}

func describeShortages(shortages []contracts.Shortage) string {
	lines := make([]string, len(shortages))
	for i, s := range shortages {
		lines[i] = fmt.Sprintf("%s, %d requested, %d available", s.SKU, s.Requested, s.Available)
	}
	return strings.Join(lines, "; ")
}

// newHistory returns the entries of a change: the received event, if the history takes it, and the published events. It
// gives the order the next version for each of them.
func newHistory(c *aggregate.Change[Order], received *HistoryEntry) []HistoryEntry {
	var entries []HistoryEntry
	add := func(e HistoryEntry) {
		c.After.Version++
		if e.Description != "" {
			e.OrderID, e.Position = c.ID, c.After.Version
			entries = append(entries, e)
		}
	}
	if received != nil {
		add(*received)
	}
	if len(c.ETOs) == 0 && c.After.CustomerAsked && !c.Before.CustomerAsked {
		add(HistoryEntry{At: now(), Description: customerWaits})
	}
	for _, eto := range c.ETOs {
		add(HistoryEntry{At: now(), EventType: eto.EventType(), Description: describe(eto)})
	}
	return entries
}
