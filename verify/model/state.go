package model

import (
	"fmt"
	"slices"
)

// state is everything at one moment. It is comparable and small, since millions are kept.
type state struct {
	at [4]uint16 // the state of each service, by its machine's number

	captures, refunds, parcels uint8 // how often the outside state has done it
	parcel                     parcel

	cancelRequests uint8 // how often the customer may still cancel
	faults         uint8 // how many may still happen

	inFlight [maxMessages]uint8 // messages under way, by number, in ascending order; zeros at the end
}

const (
	maxMessages = 24
	// The customer's order is the first message of all.
	firstMessage = 1
)

// The services, as places in state.at.
const (
	atOrder = iota
	atInventory
	atPayment
	atShipping
)

// message is an event on its way to one reaction, an answer that is to be applied, or whatever else is due.
type message struct {
	to    uint8  // a service
	input string // the name of one of its rules
	event event
}

func (w *state) add(message uint8) {
	if w.inFlight[maxMessages-1] != 0 {
		panic(fmt.Sprintf("more than %d letters are under way: enlarge maxMessages", maxMessages))
	}
	i := 0
	for w.inFlight[i] != 0 && w.inFlight[i] < message {
		i++
	}
	copy(w.inFlight[i+1:], w.inFlight[i:])
	w.inFlight[i] = message
}

func (w *state) remove(message uint8) {
	i := slices.Index(w.inFlight[:], message)
	copy(w.inFlight[i:], w.inFlight[i+1:])
	w.inFlight[maxMessages-1] = 0
}

// move is one thing that may happen next.
type move struct {
	what    what
	message uint8
	// twice is the set of those events that are published twice, by their place among those published.
	twice uint8
}

type what uint8

const (
	delivery       what = iota // a message arrives
	lostAnswer                 // a message arrives, the call it leads to takes effect, and its answer is lost
	dispatch                   // the carrier takes the booked parcel along
	deliver                    // the carrier delivers it
	customerCancel             // the customer cancels
)

// next is a move and the state after it.
type next struct {
	move  move
	state state
}

// moves appends everything that may happen next.
func (r *run) moves(w *state, out []next) ([]next, error) {
	var err error
	for i, l := range w.inFlight {
		if l == 0 {
			break
		}
		if i > 0 && l == w.inFlight[i-1] {
			continue
		}
		if out, err = r.deliver(w, l, out); err != nil {
			return nil, err
		}
	}
	switch n := *w; w.parcel {
	case booked:
		n.parcel = dispatched
		out = r.publish(n, move{what: dispatch}, r.dispatched, out)
	case dispatched:
		n.parcel = delivered
		out = r.publish(n, move{what: deliver}, r.delivered, out)
	}
	// A request that changes nothing leads to no new state.
	if w.cancelRequests > 0 && w.inFlight[0] != firstMessage {
		s, err := r.step(atOrder, w.at[atOrder], r.customerCancels)
		if err != nil {
			return nil, err
		}
		if s.next != w.at[atOrder] {
			n := *w
			n.cancelRequests--
			n.at[atOrder] = s.next
			out = r.publish(n, move{what: customerCancel}, s.published, out)
		}
	}
	return out, nil
}

func (r *run) deliver(w *state, l uint8, out []next) ([]next, error) {
	to := r.messages[l].to
	s, err := r.step(to, w.at[to], l)
	if err != nil {
		return nil, err
	}
	n := *w
	n.remove(l)
	if s.calls == nil {
		n.at[to] = s.next
		return r.publish(n, move{delivery, l, 0}, s.published, out), nil
	}
	if !s.wanted {
		return append(out, next{move{delivery, l, 0}, n}), nil
	}
	result := s.calls(&n, r.circumstances)
	if lost := n; w.faults > 0 {
		lost.inFlight = w.inFlight
		if lost != *w { // else nothing has changed by the call
			lost.faults--
			out = append(out, next{move{lostAnswer, l, 0}, lost})
		}
	}
	n.add(r.messageNumber(message{to: to, input: result}))
	return append(out, next{move{delivery, l, 0}, n}), nil
}

// publish sends events to their readers: once each and, while faults may happen, some of them twice.
func (r *run) publish(n state, m move, published []uint8, out []next) []next {
	for _, e := range published {
		n.addAll(r.readers[e])
	}
	out = append(out, next{m, n})
	if n.faults == 0 {
		return out
	}
	return r.publishTwice(n, m, published, 0, out)
}

func (r *run) publishTwice(n state, m move, published []uint8, from int, out []next) []next {
	for i := from; i < len(published); i++ {
		if len(r.readers[published[i]]) == 0 {
			continue
		}
		d, dm := n, m
		d.faults--
		d.addAll(r.readers[published[i]])
		dm.twice |= 1 << i
		out = append(out, next{dm, d})
		if d.faults > 0 {
			out = r.publishTwice(d, dm, published, i+1, out)
		}
	}
	return out
}

func (w *state) addAll(messages []uint8) {
	for _, l := range messages {
		w.add(l)
	}
}

// atRest reports whether nothing has to happen any more. The customer may still cancel, and the deadline may still pass: an
// order has to end without them.
func (r *run) atRest(w *state) bool {
	if w.parcel == booked || w.parcel == dispatched {
		return false
	}
	for _, l := range w.inFlight {
		if l != 0 && r.messages[l].input != deadline {
			return false
		}
	}
	return true
}
