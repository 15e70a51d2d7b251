package inventory

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// what is an event as the rules see it.
type what string

const (
	created    what = "order.created"
	failed     what = "payment.failed"
	refunded   what = "payment.refunded"
	voided     what = "payment.voided"
	dispatched what = "shipment.dispatched"
)

func (w what) tell(r *Reservation, shelf Stock, items ...Item) []Fact {
	switch w {
	case created:
		return r.OrderCreated(items, shelf)
	case failed:
		return r.PaymentFailed(shelf)
	case refunded:
		return r.PaymentRefunded(shelf)
	case voided:
		return r.PaymentVoided(shelf)
	case dispatched:
		return r.ShipmentDispatched(shelf)
	default:
		panic("no such event: " + w)
	}
}

func shelfOf(products ...Product) Stock {
	shelf := Stock{}
	for _, p := range products {
		shelf[p.SKU] = &p
	}
	return shelf
}

// TestReservation_FollowsTheTable goes through every cell of the choreography's table: each event in each state.
// A cell that the table does not list changes nothing and tells nothing.
func TestReservation_FollowsTheTable(t *testing.T) {
	t.Parallel()
	const onHand, wanted = 5, 3
	type cell struct {
		to               State
		emits            []Fact
		onHand, reserved int
	}
	type column map[what]cell
	// How to get there, with an order for 3, or for 9 where it should fail; and the stock then.
	states := []struct {
		state   State
		history []what
		wants   int
		rest    cell
		table   column
	}{
		{None, nil, wanted, cell{onHand: 5}, column{
			created: {Reserved, []Fact{StockReserved}, 5, 3},
			voided:  {Tombstone, nil, 5, 0},
		}},
		{None, nil, 9, cell{onHand: 5}, column{
			created: {Failed, []Fact{StockShort}, 5, 0},
			voided:  {Tombstone, nil, 5, 0},
		}},
		{Tombstone, []what{voided}, wanted, cell{onHand: 5}, nil},
		{Reserved, []what{created}, wanted, cell{onHand: 5, reserved: 3}, column{
			failed:     {Released, []Fact{StockReleased}, 5, 0},
			refunded:   {Released, []Fact{StockReleased}, 5, 0},
			voided:     {Released, []Fact{StockReleased}, 5, 0},
			dispatched: {Committed, nil, 2, 0},
		}},
		{Failed, []what{created}, 9, cell{onHand: 5}, nil},
		{Released, []what{created, failed}, wanted, cell{onHand: 5}, nil},
		{Committed, []what{created, dispatched}, wanted, cell{onHand: 2}, nil},
	}
	for _, from := range states {
		for _, event := range []what{created, failed, refunded, voided, dispatched} {
			t.Run(fmt.Sprintf("%s wants %d/%s", from.state, from.wants, event), func(t *testing.T) {
				t.Parallel()
				item := Item{SKU: "fan", Quantity: from.wants}
				r, shelf := NewReservation("o"), shelfOf(Product{SKU: "fan", OnHand: onHand})
				for _, event := range from.history {
					event.tell(&r, shelf, item)
				}
				if r.State != from.state {
					t.Fatalf("the history led to %s", r.State)
				}
				want, listed := from.table[event]
				if !listed {
					want = cell{from.state, nil, from.rest.onHand, from.rest.reserved}
				}
				emits := event.tell(&r, shelf, item)
				got := cell{r.State, emits, shelf["fan"].OnHand, shelf["fan"].Reserved}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(cell{})); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}

func TestOrderCreated_SetsAsideAllOrNothing(t *testing.T) {
	t.Parallel()
	deleted := Product{SKU: "lute", OnHand: 7, Deleted: true}
	r := NewReservation("o")
	shelf := shelfOf(Product{SKU: "fan", OnHand: 5}, Product{SKU: "violin", OnHand: 2, Reserved: 1}, deleted)

	facts := r.OrderCreated([]Item{{"fan", 1}, {"ghost", 1}, {"lute", 1}, {"violin", 2}}, shelf)

	if !slices.Equal(facts, []Fact{StockShort}) || r.State != Failed {
		t.Errorf("told %v, now %s", facts, r.State)
	}
	want := []Shortage{{"ghost", 1, 0}, {"lute", 1, 0}, {"violin", 2, 1}}
	if diff := cmp.Diff(want, r.Shortages); diff != "" {
		t.Errorf("shortages (-want +got)\n%s", diff)
	}
	if shelf["fan"].Reserved != 0 || shelf["violin"].Reserved != 1 {
		t.Error("a part of the order was set aside")
	}
}

// TestReservation_EndsTheSameInAnyOrder delivers what can happen to a cancelled order in every order, with duplicates.
func TestReservation_EndsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	var deliver func(done, left []what)
	deliver = func(done, left []what) {
		if len(left) > 0 {
			for i, next := range left {
				deliver(append(slices.Clone(done), next), append(slices.Clone(left[:i]), left[i+1:]...))
			}
			return
		}
		r, shelf := NewReservation("o"), shelfOf(Product{SKU: "fan", OnHand: 5})
		told := map[Fact]int{}
		for _, event := range done {
			for _, fact := range event.tell(&r, shelf, Item{"fan", 3}) {
				told[fact]++
			}
		}
		if fan := shelf["fan"]; fan.OnHand != 5 || fan.Reserved != 0 {
			t.Errorf("%v: %d on hand, %d reserved", done, fan.OnHand, fan.Reserved)
		}
		if told[StockReserved] > 1 || told[StockReserved] != told[StockReleased] {
			t.Errorf("%v: told %v", done, told)
		}
	}
	deliver(nil, []what{created, created, voided, voided})
}

func TestLines_SumsUpSortedBySKU(t *testing.T) {
	t.Parallel()
	got, err := NewOrderLines([]Item{{"score", 1}, {"fan", 2}, {"score", 3}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Item{{"fan", 2}, {"score", 4}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLines_RefusesWhatIsNoOrder(t *testing.T) {
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

func TestProduct_VersionGrowsAcrossItsLives(t *testing.T) {
	t.Parallel()
	p := NewProduct("fan")
	put := func(name string, amount int64) func() []Fact {
		return func() []Fact { return p.Put(name, Money{amount, "EUR"}) }
	}
	remove := func() []Fact {
		facts, err := p.Delete()
		if err != nil {
			t.Error(err)
		}
		return facts
	}
	for i, step := range []struct {
		do      func() []Fact
		tells   []Fact
		version int64
	}{
		{put("Fan", 100), []Fact{ProductCreated}, 1},
		{put("Fan", 100), nil, 1},
		{put("Silk fan", 100), []Fact{ProductUpdated}, 2},
		{put("Silk fan", 120), []Fact{ProductUpdated}, 3},
		{remove, []Fact{ProductDeleted}, 4},
		{put("Silk fan", 120), []Fact{ProductCreated}, 5},
	} {
		if got := step.do(); !slices.Equal(got, step.tells) || p.Version != step.version {
			t.Errorf("step %d: told %v at version %d, want %v at %d", i, got, p.Version, step.tells, step.version)
		}
	}
}

func TestProduct_KeepsItsStockWhileDeleted(t *testing.T) {
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

// Whatever else happens to a product, what was ever supplied stays: only so can it be told what has left.
func TestProduct_SuppliedGrowsWithSupplyAndNothingElse(t *testing.T) {
	t.Parallel()
	const orders = 3
	p := NewProduct("fan")
	shelf, reservations := Stock{"fan": &p}, make([]Reservation, orders)
	for i := range reservations {
		reservations[i] = NewReservation(fmt.Sprintf("o-%d", i))
	}
	tell := func(n int, event what) func() { return func() { event.tell(&reservations[n], shelf, Item{"fan", 2}) } }
	supply := func(quantity int) func() {
		return func() {
			if err := p.Restock(quantity); err != nil {
				t.Error(err)
			}
		}
	}
	for _, step := range []struct {
		name                       string
		do                         func()
		supplied, onHand, reserved int
	}{
		{"created", func() { p.Put("Fan", Money{100, "EUR"}) }, 0, 0, 0},
		{"received", supply(4), 4, 4, 0},
		{"changed", func() { p.Put("Silk fan", Money{120, "EUR"}) }, 4, 4, 0},
		{"set aside", tell(0, created), 4, 4, 2},
		{"set aside again", tell(1, created), 4, 4, 4},
		{"short", tell(2, created), 4, 4, 4},
		{"left", tell(0, dispatched), 4, 2, 2},
		{"supplied again", supply(3), 7, 5, 2},
		{"released", tell(1, refunded), 7, 5, 0},
		{"refused", func() { _ = p.Restock(MaxStock) }, 7, 5, 0},
		{"deleted", func() { _, _ = p.Delete() }, 7, 5, 0},
		{"refused while deleted", func() { _ = p.Restock(1) }, 7, 5, 0},
		{"created anew", func() { p.Put("Fan", Money{100, "EUR"}) }, 7, 5, 0},
	} {
		if step.do(); p.Received != step.supplied || p.OnHand != step.onHand || p.Reserved != step.reserved {
			t.Errorf("%s: %d supplied, %d on hand, %d reserved, want %d, %d, %d",
				step.name, p.Received, p.OnHand, p.Reserved, step.supplied, step.onHand, step.reserved)
		}
	}
}

func TestProduct_RefusesWhatItCannotDo(t *testing.T) {
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
