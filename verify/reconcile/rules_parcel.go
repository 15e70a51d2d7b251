package reconcile

import (
	"fmt"
	"strings"
)

// oneParcel: an order has at most one parcel that was not cancelled.
func oneParcel(s *reading) (found []Mismatch) {
	for id, parcels := range s.parcels {
		if live := uncancelled(parcels); len(live) > 1 {
			found = append(found, Mismatch{
				Rule: "two-parcels", What: "an order has more than one parcel", Order: id, Detail: describe(live),
			})
		}
	}
	return found
}

// parcelFitsOrder: a completed order has one delivered parcel, and a cancelled one has none. Every parcel belongs to an order.
func parcelFitsOrder(s *reading) (found []Mismatch) {
	for id, parcels := range s.parcels {
		if _, known := s.orders[id]; !known {
			found = append(found, Mismatch{
				Rule: "unknown-order", What: "a parcel was booked for an order that does not exist", Order: id,
				Detail: describe(parcels), ref: parcels[0].ID,
			})
		}
	}
	for id, o := range s.orders {
		live := uncancelled(s.parcels[id])
		deliveries := 0
		for _, p := range live {
			if p.State == delivered {
				deliveries++
			}
		}
		switch {
		case o.State == completed && deliveries != 1:
			found = append(found, Mismatch{
				Rule: "completed-undelivered", What: "a completed order does not have exactly one delivered parcel", Order: id,
				Detail: describe(s.parcels[id]),
			})
		case o.State == cancelled && len(live) > 0:
			found = append(found, Mismatch{
				Rule: "cancelled-sent", What: "a cancelled order has a parcel", Order: id, Detail: describe(live),
			})
		}
	}
	return found
}

// shippingAgrees: for an ended order, shipping and the carrier have the same state of the same parcel.
func shippingAgrees(s *reading) (found []Mismatch) {
	for id, o := range s.orders {
		if !o.terminal() {
			continue
		}
		var atCarrier parcel
		if live := uncancelled(s.parcels[id]); len(live) > 0 {
			atCarrier = live[0]
		}
		atShipping := s.shipments[id]
		if atShipping.parcel() != atCarrier.State || atCarrier.State != "" && atShipping.ShipmentID != atCarrier.ID {
			found = append(found, Mismatch{
				Rule: "shipping-disagrees", What: "shipping and the carrier disagree about an ended order", Order: id,
				Detail: fmt.Sprintf("shipping: %s %s; carrier: %s", valueOrNone(atShipping.State), atShipping.ShipmentID, describe(s.parcels[id])),
				lag:    s.mayLag(o),
			})
		}
	}
	return found
}

func uncancelled(parcels []parcel) (live []parcel) {
	for _, p := range parcels {
		if p.State != cancelled {
			live = append(live, p)
		}
	}
	return live
}

func describe(parcels []parcel) string {
	if len(parcels) == 0 {
		return "no parcel"
	}
	parts := make([]string, len(parcels))
	for i, p := range parcels {
		parts[i] = p.State + " " + p.ID
	}
	return strings.Join(parts, ", ")
}
