package model

import (
	"fmt"
	"math"

	"github.com/quadrille-dev/quadrille/services/payment"
)

// deadline is the handler of the payment deadline. An order must end without it.
const deadline = "order-payment-deadline-passed"

// services holds the four processes.
type services struct {
	order     process[placedOrder]
	inventory process[stock]
	payment   process[payment.Payment]
	shipping  process[shipment]
}

func newModel() *services {
	return &services{order: newOrderProcess(), inventory: newInventoryProcess(), payment: newPaymentProcess(), shipping: newShippingProcess()}
}

// run explores one set of circumstances. It is for one goroutine.
type run struct {
	circumstances Circumstances

	order     *machine[placedOrder]
	inventory *machine[stock]
	payment   *machine[payment.Payment]
	shipping  *machine[shipment]
	actors    [4]actor // the four machines

	messages  []message // by number; the first is none
	messageNo map[message]uint8
	events    []event // by number
	eventNo   map[event]uint8
	readers   [][]uint8 // of an event: the messages that carry it to its subscribers

	dispatched, delivered []uint8 // the carrier's webhooks, which travel like events
	customerCancels       uint8   // the message of the customer's request, which is never sent

	steps [4][][]*step // the results of the rules so far, by service, state and message
}

// step is what a message does to a service in a state.
type step struct {
	next      uint16
	published []uint8 // events, by number

	// A message to a handler with a call changes no state yet.
	calls  func(*state, Circumstances) (result string)
	wanted bool
}

func newRun(d *services, c Circumstances, faults int) (*run, state, error) {
	r := &run{
		circumstances: c,
		order:         newMachine(d.order), inventory: newMachine(d.inventory),
		payment: newMachine(d.payment), shipping: newMachine(d.shipping),
		messages: make([]message, 1), messageNo: map[message]uint8{}, eventNo: map[event]uint8{},
	}
	r.actors = [4]actor{r.order, r.inventory, r.payment, r.shipping}

	begin := state{cancelRequests: 2, faults: uint8(faults)}
	for i, a := range r.actors {
		first, err := a.begin(c)
		if err != nil {
			return nil, state{}, err
		}
		begin.at[i] = first
	}
	begin.add(r.messageNumber(message{to: atOrder, input: placed}))
	r.customerCancels = r.messageNumber(message{to: atOrder, input: customerCancels})
	r.dispatched = []uint8{r.webhook(webhookDispatched)}
	r.delivered = []uint8{r.webhook(webhookDelivered)}
	return r, begin, nil
}

// webhook returns the number of a carrier webhook to shipping.
func (r *run) webhook(input string) uint8 {
	e := r.number(event{Type: input})
	r.readers[e] = []uint8{r.messageNumber(message{to: atShipping, input: input})}
	return e
}

func (r *run) messageNumber(l message) uint8 {
	n, known := r.messageNo[l]
	if !known {
		if len(r.messages) > math.MaxUint8 {
			panic("more messages than a byte can number: widen state.inFlight")
		}
		n = uint8(len(r.messages))
		r.messages, r.messageNo[l] = append(r.messages, l), n
	}
	return n
}

// number returns an event's number. Its readers follow from the subscriptions.
func (r *run) number(e event) uint8 {
	n, known := r.eventNo[e]
	if known {
		return n
	}
	n = uint8(len(r.events))
	r.events, r.eventNo[e] = append(r.events, e), n
	var readers []uint8
	for to, a := range r.actors {
		for _, s := range a.subscribed() {
			if s.EventType() == e.Type {
				readers = append(readers, r.messageNumber(message{to: uint8(to), input: s.Handler(), event: e}))
			}
		}
	}
	r.readers = append(r.readers, readers)
	return n
}

// step returns what a message does to a service in a state. It runs each rule once.
func (r *run) step(service uint8, state uint16, l uint8) (*step, error) {
	for int(state) >= len(r.steps[service]) {
		r.steps[service] = append(r.steps[service], make([]*step, 256))
	}
	known := &r.steps[service][state][l]
	if *known != nil {
		return *known, nil
	}
	a, s := r.actors[service], &step{}
	input := r.messages[l].input
	if s.calls = a.calling(input); s.calls != nil {
		s.wanted = a.wanted(state, input)
	} else {
		next, published, err := a.apply(state, input, r.messages[l].event)
		if err != nil {
			return nil, err
		}
		s.next = next
		for _, e := range published {
			s.published = append(s.published, r.number(e))
		}
	}
	*known = s
	return s, nil
}

// view is a state with its numbers resolved, for the invariants.
type view struct {
	Circumstances
	*state
	order    *placedOrder
	stock    *stock
	payment  *payment.Payment
	shipment *shipment
}

func (r *run) view(w *state) view {
	return view{
		Circumstances: r.circumstances, state: w,
		order: &r.order.states[w.at[atOrder]], stock: &r.inventory.states[w.at[atInventory]],
		payment: &r.payment.states[w.at[atPayment]], shipment: &r.shipping.states[w.at[atShipping]],
	}
}

func (v view) String() string {
	return fmt.Sprintf("order %s, stock %s, payment %s, shipment %s, captured %d times, refunded %d times",
		v.order.Order.State(), v.stock.Reservation.State, v.payment.State, v.shipment.Shipment.State, v.captures, v.refunds)
}
