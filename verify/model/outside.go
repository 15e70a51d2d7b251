package model

// parcel is what the carrier's books say.
type parcel uint8

const (
	nothing parcel = iota
	booked
	refused
	calledOff
	dispatched
	delivered
)

// charge confirms the order's stored intent, which is captured once however often it is confirmed.
func charge(w *state, c Circumstances) string {
	if c.CardDeclined {
		return declined
	}
	w.captures = max(w.captures, 1)
	return captured
}

// refund gives back what is left.
func refund(w *state, _ Circumstances) string {
	w.refunds = w.captures
	return refundMade
}

// book knows the order by its reference: asked again, it answers the same.
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

// cancel grants what was not hasLeft over, and grants it again.
func cancel(w *state, _ Circumstances) string {
	if w.parcel == dispatched || w.parcel == delivered {
		return tooLate
	}
	w.parcel = calledOff
	return granted
}
