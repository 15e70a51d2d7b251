package model

// parcel is the state of a parcel at the carrier.
type parcel uint8

const (
	nothing parcel = iota
	booked
	refused
	calledOff
	dispatched
	delivered
)

// charge confirms the order's stored payment intent. It is captured once, even if it is confirmed several times.
func charge(w *state, c Circumstances) string {
	if c.CardDeclined {
		return declined
	}
	w.captures = max(w.captures, 1)
	return captured
}

// refund refunds what has not been refunded yet.
func refund(w *state, _ Circumstances) string {
	w.refunds = w.captures
	return refundMade
}

// book books the order's parcel. Because the order is the reference, a repeated request has the same result.
func book(w *state, c Circumstances) string {
	switch {
	case c.Undeliverable:
		w.parcel = refused
		return undeliverable
	case w.parcel == nothing:
		w.parcel = booked
		w.parcels++
	}
	return accepted
}

// cancel cancels a parcel that has not left. A repeated request has the same result.
func cancel(w *state, _ Circumstances) string {
	if w.parcel == dispatched || w.parcel == delivered {
		return tooLate
	}
	w.parcel = calledOff
	return granted
}
