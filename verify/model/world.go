package model

import (
	"fmt"
	"slices"
)

// world is everything at one moment. It is comparable and small, since millions are kept.
type world struct {
	at [4]uint16 // the state of each service, by its machine's number

	captures, refunds, parcels uint8 // how often the outside world has done it
	parcel                     parcel

	wishes  uint8 // how often the customer may still cancel
	mishaps uint8 // how many may still happen

	mail [mailbox]uint8 // letters under way, by number, in ascending order; zeros at the end
}

const (
	mailbox = 24
	// The customer's order is the first letter of all.
	firstLetter = 1
)

// The services, as places in world.at.
const (
	atOrder = iota
	atInventory
	atPayment
	atShipping
)

// letter is an event on its way to one reaction, an answer that is to be applied, or whatever else is due.
type letter struct {
	to    uint8  // a service
	input string // the name of one of its rules
	event event
}

func (w *world) post(letter uint8) {
	if w.mail[mailbox-1] != 0 {
		panic(fmt.Sprintf("more than %d letters are under way: enlarge the mailbox", mailbox))
	}
	i := 0
	for w.mail[i] != 0 && w.mail[i] < letter {
		i++
	}
	copy(w.mail[i+1:], w.mail[i:])
	w.mail[i] = letter
}

func (w *world) take(letter uint8) {
	i := slices.Index(w.mail[:], letter)
	copy(w.mail[i:], w.mail[i+1:])
	w.mail[mailbox-1] = 0
}

// move is one thing that may happen next.
type move struct {
	what   what
	letter uint8
	// twice is the set of those events that are told twice, by their place among those told.
	twice uint8
}

type what uint8

const (
	delivery   what = iota // a letter arrives
	lostAnswer             // a letter arrives, the call it leads to takes effect, and its answer is lost
	handover               // the carrier takes the booked parcel along
	arrival                // the carrier delivers it
	wishing                // the customer cancels
)

// next is a move and the world after it.
type next struct {
	move  move
	world world
}

// moves appends everything that may happen next.
func (r *run) moves(w *world, out []next) ([]next, error) {
	var err error
	for i, l := range w.mail {
		if l == 0 {
			break
		}
		if i > 0 && l == w.mail[i-1] {
			continue
		}
		if out, err = r.deliver(w, l, out); err != nil {
			return nil, err
		}
	}
	switch n := *w; w.parcel {
	case booked:
		n.parcel = handedOver
		out = r.tell(n, move{what: handover}, r.handedOver, out)
	case handedOver:
		n.parcel = delivered
		out = r.tell(n, move{what: arrival}, r.delivered, out)
	}
	// A wish that changes nothing leads nowhere new.
	if w.wishes > 0 && w.mail[0] != firstLetter {
		s, err := r.step(atOrder, w.at[atOrder], r.wish)
		if err != nil {
			return nil, err
		}
		if s.next != w.at[atOrder] {
			n := *w
			n.wishes--
			n.at[atOrder] = s.next
			out = r.tell(n, move{what: wishing}, s.told, out)
		}
	}
	return out, nil
}

func (r *run) deliver(w *world, l uint8, out []next) ([]next, error) {
	to := r.letters[l].to
	s, err := r.step(to, w.at[to], l)
	if err != nil {
		return nil, err
	}
	n := *w
	n.take(l)
	if s.calls == nil {
		n.at[to] = s.next
		return r.tell(n, move{delivery, l, 0}, s.told, out), nil
	}
	if !s.wanted {
		return append(out, next{move{delivery, l, 0}, n}), nil
	}
	answer := s.calls(&n, r.circumstances)
	if lost := n; w.mishaps > 0 {
		lost.mail = w.mail
		if lost != *w { // else nothing has changed by the call
			lost.mishaps--
			out = append(out, next{move{lostAnswer, l, 0}, lost})
		}
	}
	n.post(r.letterOf(letter{to: to, input: answer}))
	return append(out, next{move{delivery, l, 0}, n}), nil
}

// tell sends events to whom they concern: once each or, as long as mishaps may happen, some of them twice.
func (r *run) tell(n world, m move, told []uint8, out []next) []next {
	for _, e := range told {
		n.postAll(r.readers[e])
	}
	out = append(out, next{m, n})
	if n.mishaps == 0 {
		return out
	}
	return r.tellTwice(n, m, told, 0, out)
}

func (r *run) tellTwice(n world, m move, told []uint8, from int, out []next) []next {
	for i := from; i < len(told); i++ {
		if len(r.readers[told[i]]) == 0 {
			continue
		}
		d, dm := n, m
		d.mishaps--
		d.postAll(r.readers[told[i]])
		dm.twice |= 1 << i
		out = append(out, next{dm, d})
		if d.mishaps > 0 {
			out = r.tellTwice(d, dm, told, i+1, out)
		}
	}
	return out
}

func (w *world) postAll(letters []uint8) {
	for _, l := range letters {
		w.post(l)
	}
}

// atRest says that nothing has to happen any more. The customer may still change his mind, and the deadline may still
// pass: an order has to end without their help.
func (r *run) atRest(w *world) bool {
	if w.parcel == booked || w.parcel == handedOver {
		return false
	}
	for _, l := range w.mail {
		if l != 0 && r.letters[l].input != deadline {
			return false
		}
	}
	return true
}
