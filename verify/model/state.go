package model

import (
	"fmt"
	"slices"
)

// state is the state of all services, the external systems and the messages under way. It is comparable and small,
// because an exploration stores millions.
type state struct {
	at [4]uint16 // the state of each service, by its machine's number

	captures, refunds, parcels uint8 // how often each has happened
	parcel                     parcel

	cancelRequests uint8 // those that the customer may still send
	faults         uint8 // those that may still happen

	inFlight [maxMessages]uint8 // messages under way, by number, in ascending order; zeros at the end
}

const (
	maxMessages = 24
	// The message that places the order is the first.
	firstMessage = 1
)

// The services, as places in state.at.
const (
	atOrder = iota
	atInventory
	atPayment
	atShipping
)

// message is the input of one rule: an event for one handler, the result of a call, or a command.
type message struct {
	to    uint8  // a service
	input string // the name of one of its rules
	event event
}

func (w *state) add(message uint8) {
	if w.inFlight[maxMessages-1] != 0 {
		panic(fmt.Sprintf("more than %d messages are under way: enlarge maxMessages", maxMessages))
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

// move is a possible next step.
type move struct {
	kind    moveKind
	message uint8
	// twice is a bit set of the events that are published twice, by their index among the published ones.
	twice uint8
}

type moveKind uint8

const (
	delivery       moveKind = iota // a message arrives
	lostResponse                   // a message arrives, its call takes effect, and the response is lost
	dispatch                       // the carrier dispatches the booked parcel
	deliver                        // the carrier delivers it
	customerCancel                 // the customer cancels
)

// next is a move and the state after it.
type next struct {
	move  move
	state state
}

// moves appends all possible moves.
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
		out = r.publish(n, move{kind: dispatch}, r.dispatched, out)
	case dispatched:
		n.parcel = delivered
		out = r.publish(n, move{kind: deliver}, r.delivered, out)
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
			out = r.publish(n, move{kind: customerCancel}, s.published, out)
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
		if lost != *w { // otherwise the call has changed nothing
			lost.faults--
			out = append(out, next{move{lostResponse, l, 0}, lost})
		}
	}
	n.add(r.messageNumber(message{to: to, input: result}))
	return append(out, next{move{delivery, l, 0}, n}), nil
}

// publish sends events to their readers: each once and, if faults may still happen, every subset of them twice.
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
