package inventory

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
)

// event is the name of an event that a reservation handles.
type event string

const (
	created    event = "order.created"
	failed     event = "payment.failed"
	refunded   event = "payment.refunded"
	voided     event = "payment.voided"
	dispatched event = "shipment.dispatched"
)

// apply runs the event's rule.
func (e event) apply(r *Reservation, stock Stock, items ...Item) []contracts.ETO {
	switch e {
	case created:
		return r.OrderCreated(items, stock)
	case failed:
		return r.PaymentFailed(contracts.PaymentFailed{}, stock)
	case refunded:
		return r.PaymentRefunded(contracts.PaymentRefunded{}, stock)
	case voided:
		return r.PaymentVoided(contracts.PaymentVoided{}, stock)
	case dispatched:
		return r.ShipmentDispatched(contracts.ShipmentDispatched{}, stock)
	default:
		panic("unknown event: " + e)
	}
}

func newStock(products ...Product) Stock {
	stock := Stock{}
	for _, p := range products {
		stock[p.SKU] = &p
	}
	return stock
}

// TestReservation_Rules goes through every cell of the state table: each event in each state. A cell that the table does
// not list changes nothing and publishes nothing.
func TestReservation_Rules(t *testing.T) {
	t.Parallel()
	const onHand, wanted = 5, 3
	type cell struct {
		to               State
		etos             []contracts.ETO
		onHand, reserved int
	}
	type column map[event]cell
	reserved := []contracts.ETO{contracts.InventoryReserved{OrderID: "o", Items: []contracts.Item{{SKU: "fan", Quantity: 3}}}}
	short := []contracts.ETO{contracts.InventoryReservationFailed{
		OrderID: "o", Shortages: []contracts.Shortage{{SKU: "fan", Requested: 9, Available: 5}},
	}}
	released := []contracts.ETO{contracts.InventoryReleased{OrderID: "o"}}
	// The events that lead to the state, for an order of 3 pieces, or of 9 where it should fail; and the stock then.
	states := []struct {
		state   State
		history []event
		wants   int
		rest    cell
		table   column
	}{
		{None, nil, wanted, cell{onHand: 5}, column{
			created: {Reserved, reserved, 5, 3},
			voided:  {Tombstone, nil, 5, 0},
		}},
		{None, nil, 9, cell{onHand: 5}, column{
			created: {Failed, short, 5, 0},
			voided:  {Tombstone, nil, 5, 0},
		}},
		{Tombstone, []event{voided}, wanted, cell{onHand: 5}, nil},
		{Reserved, []event{created}, wanted, cell{onHand: 5, reserved: 3}, column{
			failed:     {Released, released, 5, 0},
			refunded:   {Released, released, 5, 0},
			voided:     {Released, released, 5, 0},
			dispatched: {Committed, nil, 2, 0},
		}},
		{Failed, []event{created}, 9, cell{onHand: 5}, nil},
		{Released, []event{created, failed}, wanted, cell{onHand: 5}, nil},
		{Committed, []event{created, dispatched}, wanted, cell{onHand: 2}, nil},
	}
	for _, from := range states {
		for _, e := range []event{created, failed, refunded, voided, dispatched} {
			t.Run(fmt.Sprintf("%s wants %d/%s", from.state, from.wants, e), func(t *testing.T) {
				t.Parallel()
				item := Item{SKU: "fan", Quantity: from.wants}
				r, stock := NewReservation("o"), newStock(Product{SKU: "fan", OnHand: onHand})
				for _, earlier := range from.history {
					earlier.apply(&r, stock, item)
				}
				if r.State != from.state {
					t.Fatalf("the history led to %s", r.State)
				}
				want, listed := from.table[e]
				if !listed {
					want = cell{from.state, nil, from.rest.onHand, from.rest.reserved}
				}
				etos := e.apply(&r, stock, item)
				got := cell{r.State, etos, stock["fan"].OnHand, stock["fan"].Reserved}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(cell{})); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}

func TestOrderCreated_ReservesAllOrNothing(t *testing.T) {
	t.Parallel()
	deleted := Product{SKU: "lute", OnHand: 7, Deleted: true}
	r := NewReservation("o")
	stock := newStock(Product{SKU: "fan", OnHand: 5}, Product{SKU: "violin", OnHand: 2, Reserved: 1}, deleted)

	etos := r.OrderCreated([]Item{{"fan", 1}, {"ghost", 1}, {"lute", 1}, {"violin", 2}}, stock)

	want := []contracts.ETO{contracts.InventoryReservationFailed{
		OrderID: "o", Shortages: []contracts.Shortage{{SKU: "ghost", Requested: 1}, {SKU: "lute", Requested: 1}, {SKU: "violin", Requested: 2, Available: 1}},
	}}
	if diff := cmp.Diff(want, etos); diff != "" || r.State != Failed {
		t.Errorf("state %s, events (-want +got)\n%s", r.State, diff)
	}
	if stock["fan"].Reserved != 0 || stock["violin"].Reserved != 1 {
		t.Error("a part of the order was reserved")
	}
}

// TestReservation_EndIndependentOfEventOrder applies the events of a cancelled order in every order, with duplicates.
func TestReservation_EndIndependentOfEventOrder(t *testing.T) {
	t.Parallel()
	var deliver func(done, left []event)
	deliver = func(done, left []event) {
		if len(left) > 0 {
			for i, next := range left {
				deliver(append(slices.Clone(done), next), append(slices.Clone(left[:i]), left[i+1:]...))
			}
			return
		}
		r, stock := NewReservation("o"), newStock(Product{SKU: "fan", OnHand: 5})
		published := map[string]int{}
		for _, e := range done {
			for _, eto := range e.apply(&r, stock, Item{"fan", 3}) {
				published[eto.EventType()]++
			}
		}
		if fan := stock["fan"]; fan.OnHand != 5 || fan.Reserved != 0 {
			t.Errorf("%v: %d on hand, %d reserved", done, fan.OnHand, fan.Reserved)
		}
		reserved, released := published["inventory.reserved.v1"], published["inventory.released.v1"]
		if reserved > 1 || reserved != released {
			t.Errorf("%v: published %v", done, published)
		}
	}
	deliver(nil, []event{created, created, voided, voided})
}

func TestNewOrderLines_SumsBySKU(t *testing.T) {
	t.Parallel()
	got, err := NewOrderLines([]Item{{"score", 1}, {"fan", 2}, {"score", 3}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Item{{"fan", 2}, {"score", 4}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNewOrderLines_RejectsInvalidOrders(t *testing.T) {
	t.Parallel()
	const most = int(^uint(0) >> 1)
	for _, items := range [][]Item{
		nil,
		{{"fan", 0}},
		{{"fan", 1}, {"score", -1}},
		{{"fan", MaxStock}, {"fan", 1}},
		{{"fan", most}, {"fan", most}},
	} {
		if got, err := NewOrderLines(items); err == nil {
			t.Errorf("%v became %v", items, got)
		}
	}
}

func euros(cents int64) contracts.Money { return contracts.Money{Amount: cents, Currency: "EUR"} }

func TestProduct_VersionGrowsAcrossDeletion(t *testing.T) {
	t.Parallel()
	p := NewProduct("fan")
	put := func(name string, amount int64) func() []contracts.ETO {
		return func() []contracts.ETO { return p.Put(name, Money{amount, "EUR"}) }
	}
	remove := func() []contracts.ETO {
		etos, err := p.Delete()
		if err != nil {
			t.Error(err)
		}
		return etos
	}
	for i, step := range []struct {
		do      func() []contracts.ETO
		want    contracts.ETO
		version int64
	}{
		{put("Fan", 100), contracts.ProductCreated{SKU: "fan", Name: "Fan", Price: euros(100), Version: 1}, 1},
		{put("Fan", 100), nil, 1},
		{put("Silk fan", 100), contracts.ProductUpdated{SKU: "fan", Name: "Silk fan", Price: euros(100), Version: 2}, 2},
		{put("Silk fan", 120), contracts.ProductUpdated{SKU: "fan", Name: "Silk fan", Price: euros(120), Version: 3}, 3},
		{remove, contracts.ProductDeleted{SKU: "fan", Version: 4}, 4},
		{put("Silk fan", 120), contracts.ProductCreated{SKU: "fan", Name: "Silk fan", Price: euros(120), Version: 5}, 5},
	} {
		var want []contracts.ETO
		if step.want != nil {
			want = []contracts.ETO{step.want}
		}
		if diff := cmp.Diff(want, step.do()); diff != "" || p.Version != step.version {
			t.Errorf("step %d: version %d, events (-want +got)\n%s", i, p.Version, diff)
		}
	}
}

func TestProduct_KeepsStockWhileDeleted(t *testing.T) {
	t.Parallel()
	p := NewProduct("fan")
	p.Put("Fan", Money{100, "EUR"})
	if err := p.Restock(4); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Delete(); err != nil {
		t.Fatal(err)
	}
	p.Put("Fan", Money{100, "EUR"})
	if p.OnHand != 4 {
		t.Errorf("%d on hand", p.OnHand)
	}
}

// Received minus OnHand is what has left, so that only a restock may change Received.
func TestProduct_ReceivedGrowsWithRestockOnly(t *testing.T) {
	t.Parallel()
	const orders = 3
	p := NewProduct("fan")
	stock, reservations := Stock{"fan": &p}, make([]Reservation, orders)
	for i := range reservations {
		reservations[i] = NewReservation(fmt.Sprintf("o-%d", i))
	}
	apply := func(n int, e event) func() { return func() { e.apply(&reservations[n], stock, Item{"fan", 2}) } }
	restock := func(quantity int) func() {
		return func() {
			if err := p.Restock(quantity); err != nil {
				t.Error(err)
			}
		}
	}
	for _, step := range []struct {
		name                       string
		do                         func()
		received, onHand, reserved int
	}{
		{"created", func() { p.Put("Fan", Money{100, "EUR"}) }, 0, 0, 0},
		{"received", restock(4), 4, 4, 0},
		{"changed", func() { p.Put("Silk fan", Money{120, "EUR"}) }, 4, 4, 0},
		{"reserved", apply(0, created), 4, 4, 2},
		{"reserved again", apply(1, created), 4, 4, 4},
		{"short", apply(2, created), 4, 4, 4},
		{"dispatched", apply(0, dispatched), 4, 2, 2},
		{"received again", restock(3), 7, 5, 2},
		{"released", apply(1, refunded), 7, 5, 0},
		{"rejected", func() { _ = p.Restock(MaxStock) }, 7, 5, 0},
		{"deleted", func() { _, _ = p.Delete() }, 7, 5, 0},
		{"rejected while deleted", func() { _ = p.Restock(1) }, 7, 5, 0},
		{"created anew", func() { p.Put("Fan", Money{100, "EUR"}) }, 7, 5, 0},
	} {
		if step.do(); p.Received != step.received || p.OnHand != step.onHand || p.Reserved != step.reserved {
			t.Errorf("%s: %d received, %d on hand, %d reserved, want %d, %d, %d",
				step.name, p.Received, p.OnHand, p.Reserved, step.received, step.onHand, step.reserved)
		}
	}
}

func TestProduct_RejectsInvalidCommands(t *testing.T) {
	t.Parallel()
	gone, promised, full := NewProduct("a"), Product{OnHand: 1, Reserved: 1}, Product{OnHand: MaxStock - 1}
	_, deleteGone := gone.Delete()
	_, deletePromised := promised.Delete()
	for _, c := range []struct{ got, want error }{
		{deleteGone, ErrUnknownProduct},
		{deletePromised, ErrStockReserved},
		{gone.Restock(1), ErrUnknownProduct},
		{full.Restock(2), ErrTooMuchStock},
		{full.Restock(1), nil},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}
