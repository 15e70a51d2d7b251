package model

import (
	"fmt"
	"math"

	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/services/payment"
	"github.com/quadrille-dev/quadrille/services/shipping"
)

// deadline is the one reaction that nobody may wait for.
const deadline = "order-payment-deadline-passed"

// dance is the parties together.
type dance struct {
	order     party[placedOrder, order.Fact]
	inventory party[stock, inventory.Fact]
	payment   party[payment.Payment, payment.Fact]
	shipping  party[shipment, shipping.Fact]
}

func theDance() *dance {
	return &dance{order: orders(), inventory: inventories(), payment: payments(), shipping: shipments()}
}

// run explores one set of circumstances. It is for one goroutine.
type run struct {
	circumstances Circumstances

	order     *machine[placedOrder, order.Fact]
	inventory *machine[stock, inventory.Fact]
	payment   *machine[payment.Payment, payment.Fact]
	shipping  *machine[shipment, shipping.Fact]
	actors    [4]actor // the same

	letters  []letter // by number; the first is none
	letterNo map[letter]uint8
	events   []event // by number
	eventNo  map[event]uint8
	readers  [][]uint8 // of an event: the letters that bring it to all who subscribe

	handedOver, delivered []uint8 // the carrier's notices, which travel like events
	wish                  uint8   // a letter that is never sent

	steps [4][][]*step // what was asked of the rules so far, by service, state and letter
}

// step is what a letter does to a service in a state.
type step struct {
	next uint16
	told []uint8 // events, by number

	// A letter to a reaction that talks to the outside world does nothing yet but call.
	calls  func(*world, Circumstances) (answer string)
	wanted bool
}

func newRun(d *dance, c Circumstances, mishaps int) (*run, world, error) {
	r := &run{
		circumstances: c,
		order:         newMachine(d.order), inventory: newMachine(d.inventory),
		payment: newMachine(d.payment), shipping: newMachine(d.shipping),
		letters: make([]letter, 1), letterNo: map[letter]uint8{}, eventNo: map[event]uint8{},
	}
	r.actors = [4]actor{r.order, r.inventory, r.payment, r.shipping}

	begin := world{wishes: 2, mishaps: uint8(mishaps)}
	for i, a := range r.actors {
		state, err := a.begin(c)
		if err != nil {
			return nil, world{}, err
		}
		begin.at[i] = state
	}
	begin.post(r.letterOf(letter{to: atOrder, input: placed}))
	r.wish = r.letterOf(letter{to: atOrder, input: wished})
	r.handedOver = []uint8{r.notice(noticeHandedOver)}
	r.delivered = []uint8{r.notice(noticeDelivered)}
	return r, begin, nil
}

// notice is an event from the carrier to shipping.
func (r *run) notice(input string) uint8 {
	e := r.number(event{Type: input})
	r.readers[e] = []uint8{r.letterOf(letter{to: atShipping, input: input})}
	return e
}

func (r *run) letterOf(l letter) uint8 {
	n, known := r.letterNo[l]
	if !known {
		if len(r.letters) > math.MaxUint8 {
			panic("more letters than a byte can number: widen world.mail")
		}
		n = uint8(len(r.letters))
		r.letters, r.letterNo[l] = append(r.letters, l), n
	}
	return n
}

// number is an event's number. Who hears of it is the subscriptions' affair.
func (r *run) number(e event) uint8 {
	n, known := r.eventNo[e]
	if known {
		return n
	}
	n = uint8(len(r.events))
	r.events, r.eventNo[e] = append(r.events, e), n
	var readers []uint8
	for to, a := range r.actors {
		for _, s := range a.subscriptions() {
			if s.EventType() == e.Type {
				readers = append(readers, r.letterOf(letter{to: uint8(to), input: s.Handler(), event: e}))
			}
		}
	}
	r.readers = append(r.readers, readers)
	return n
}

// step asks the rules, once.
func (r *run) step(service uint8, state uint16, l uint8) (*step, error) {
	for int(state) >= len(r.steps[service]) {
		r.steps[service] = append(r.steps[service], make([]*step, 256))
	}
	known := &r.steps[service][state][l]
	if *known != nil {
		return *known, nil
	}
	a, s := r.actors[service], &step{}
	input := r.letters[l].input
	if s.calls = a.calling(input); s.calls != nil {
		s.wanted = a.wanted(state, input)
	} else {
		next, told, err := a.react(state, input, r.letters[l].event)
		if err != nil {
			return nil, err
		}
		s.next = next
		for _, e := range told {
			s.told = append(s.told, r.number(e))
		}
	}
	*known = s
	return s, nil
}

// view is a world with its numbers looked up, as claims see it.
type view struct {
	Circumstances
	*world
	order    *placedOrder
	stock    *stock
	payment  *payment.Payment
	shipment *shipment
}

func (r *run) view(w *world) view {
	return view{
		Circumstances: r.circumstances, world: w,
		order: &r.order.states[w.at[atOrder]], stock: &r.inventory.states[w.at[atInventory]],
		payment: &r.payment.states[w.at[atPayment]], shipment: &r.shipping.states[w.at[atShipping]],
	}
}

func (v view) String() string {
	return fmt.Sprintf("order %s, stock %s, payment %s, shipment %s, captured %d times, given back %d times",
		v.order.Order.State(), v.stock.Reservation.State, v.payment.State, v.shipment.Shipment.State, v.captures, v.refunds)
}
