package order_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestPlace_ReturnsAndPublishesOrder(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	rec := s.post(t, request(), "key-1")
	got := servicetest.Decode[view](t, rec, http.StatusAccepted)
	if location := rec.Header().Get("Location"); location != "/api/v1/orders/"+got.ID {
		t.Errorf("Location = %q", location)
	}
	want := view{
		ID: got.ID, CustomerID: "c-1", State: order.Pending,
		Message: "We are checking that everything you ordered is in stock.", Total: order.Money{Amount: 4499, Currency: "EUR"},
		Items: []order.Item{
			{SKU: "fan", Name: "Silk fan", Quantity: 2, UnitPrice: order.Money{Amount: 1250, Currency: "EUR"}},
			{SKU: "gloves", Name: "Gloves", Quantity: 1, UnitPrice: order.Money{Amount: 1999, Currency: "EUR"}},
		},
	}
	want.History = append(want.History, struct{ Event, Description string }{"order.created.v1", "the order was placed"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(got, s.get(t, got.ID)); diff != "" {
		t.Errorf("the order read back differs\n%s", diff)
	}

	created := eventstest.Decode[contracts.OrderCreated](t, s.Transport.WaitFor(t, "order.created.v1", got.ID))
	wantEvent := contracts.OrderCreated{
		OrderID: got.ID, CustomerID: "c-1", Total: euros(4499), PaymentMethod: "pm_card_visa",
		Items: []contracts.Item{{SKU: "fan", Quantity: 2}, {SKU: "gloves", Quantity: 1}},
		ShippingAddress: contracts.Address{
			Name: "Eve Example", Street: "1 Ballroom Lane", City: "Vienna", PostalCode: "1010", Country: "AT",
		},
	}
	if got := encode(t, created); got != encode(t, wantEvent) {
		t.Errorf("order.created = %s", got)
	}
	if strings.Contains(rec.Body.String(), "pm_card_visa") {
		t.Error("the response repeats the payment method")
	}
}

func TestPlace_NamesInvalidFields(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, contracts.ProductCreated{SKU: "sabre", Name: "Sabre", Price: contracts.Money{Amount: 1, Currency: "USD"}, Version: 1})
	s.Deliver(t, contracts.ProductCreated{SKU: "crown", Name: "Crown", Price: euros(math.MaxInt64 / 2), Version: 1})
	s.Deliver(t, contracts.ProductDeleted{SKU: "gone", Version: 2})
	item := func(sku string, quantity int) any { return map[string]any{"sku": sku, "quantity": quantity} }
	many := make([]any, order.MaxItems+1)
	for i := range many {
		many[i] = item(fmt.Sprint("sku-", i), 1)
	}
	address := func(field string, value any) func(map[string]any) {
		return func(r map[string]any) { r["shippingAddress"].(map[string]any)[field] = value }
	}
	set := func(field string, value any) func(map[string]any) {
		return func(r map[string]any) { r[field] = value }
	}
	for _, c := range []struct {
		name   string
		spoil  func(map[string]any)
		fields []string
	}{
		{"no customer", func(r map[string]any) { delete(r, "customerId") }, []string{"customerId"}},
		{"blank customer", set("customerId", "  "), []string{"customerId"}},
		{"long customer", set("customerId", strings.Repeat("é", 101)), []string{"customerId"}},
		{"NUL in customer", set("customerId", "a\x00b"), []string{"customerId"}},
		{"no items", func(r map[string]any) { delete(r, "items") }, []string{"items"}},
		{"empty items", set("items", []any{}), []string{"items"}},
		{"too many items", set("items", many), []string{"items"}},
		{"no sku", set("items", []any{item("", 1)}), []string{"items[0].sku"}},
		{"unknown sku", set("items", []any{item("fan", 1), item("unicorn", 1)}), []string{"items[1].sku"}},
		{"deleted sku", set("items", []any{item("gone", 1)}), []string{"items[0].sku"}},
		{"NUL in sku", set("items", []any{item("fan\x00", 1)}), []string{"items[0].sku"}},
		{"same sku twice", set("items", []any{item("fan", 1), item("fan", 1)}), []string{"items[1].sku"}},
		{"quantity 0", set("items", []any{item("fan", 0)}), []string{"items[0].quantity"}},
		{"quantity -1", set("items", []any{item("fan", -1)}), []string{"items[0].quantity"}},
		{"quantity 1001", set("items", []any{item("fan", 1001)}), []string{"items[0].quantity"}},
		{"no quantity", set("items", []any{map[string]any{"sku": "fan"}}), []string{"items[0].quantity"}},
		{"two currencies", set("items", []any{item("fan", 1), item("sabre", 1)}), []string{"items[1].sku"}},
		{"too dear", set("items", []any{item("crown", 3)}), []string{"items"}},
		{"no address", func(r map[string]any) { delete(r, "shippingAddress") }, []string{
			"shippingAddress.name", "shippingAddress.street", "shippingAddress.city", "shippingAddress.postalCode",
			"shippingAddress.country",
		}},
		{"no name", address("name", ""), []string{"shippingAddress.name"}},
		{"no street", address("street", ""), []string{"shippingAddress.street"}},
		{"no city", address("city", ""), []string{"shippingAddress.city"}},
		{"no postal code", address("postalCode", ""), []string{"shippingAddress.postalCode"}},
		{"no country", address("country", ""), []string{"shippingAddress.country"}},
		{"country by name", address("country", "Austria"), []string{"shippingAddress.country"}},
		{"no payment method", set("paymentMethod", ""), []string{"paymentMethod"}},
		{"several", func(r map[string]any) {
			r["customerId"], r["items"] = "", []any{item("unicorn", 0)}
		}, []string{"customerId", "items[0].quantity", "items[0].sku"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			body := request()
			c.spoil(body)
			servicetest.WantProblem(t, s.post(t, body, uuid.NewString()), http.StatusUnprocessableEntity, c.fields...)
		})
	}
	t.Cleanup(func() {
		var stored int64
		if s.DB.Table("orders").Count(&stored); stored != 0 {
			t.Errorf("%d orders were stored", stored)
		}
	})
}

func TestPlace_RejectsMalformedRequest(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	good := encode(t, request())
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
	}{
		{"no key", good, nil, http.StatusBadRequest},
		{"not JSON", "{", []string{"Idempotency-Key: k"}, http.StatusBadRequest},
		{"unknown field", `{"prize":1}`, []string{"Idempotency-Key: k"}, http.StatusBadRequest},
		{"wrong type", `{"items":[{"sku":"fan","quantity":"two"}]}`, []string{"Idempotency-Key: k"}, http.StatusBadRequest},
		{"fraction", `{"items":[{"sku":"fan","quantity":1.5}]}`, []string{"Idempotency-Key: k"}, http.StatusBadRequest},
		{"something behind", good + "{}", []string{"Idempotency-Key: k"}, http.StatusBadRequest},
		{"wrong content type", good, []string{"Idempotency-Key: k", "Content-Type: text/plain"}, http.StatusUnsupportedMediaType},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			servicetest.WantProblem(t, s.Call(t, http.MethodPost, "/api/v1/orders", c.body, c.headers...), c.status)
		})
	}
}

func TestPlace_RepeatedKeyReturnsSameOrder(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	first := servicetest.Decode[view](t, s.post(t, request(), "key-1"), http.StatusAccepted)
	s.Deliver(t, contracts.InventoryReserved{OrderID: first.ID})

	again := s.post(t, request(), "key-1")
	if got := servicetest.Decode[view](t, again, http.StatusAccepted); got.ID != first.ID || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("repeated: %s, headers %v", got.ID, again.Header())
	}
	other := request()
	other["customerId"] = "c-2"
	servicetest.WantProblem(t, s.post(t, other, "key-1"), http.StatusUnprocessableEntity)
	if next := servicetest.Decode[view](t, s.post(t, request(), "key-2"), http.StatusAccepted); next.ID == first.ID {
		t.Error("another key gave the same order")
	}
	s.WantPublishedTypes(t, first.ID, "order.created.v1")
}

// A rejected request stores nothing, so that its key can be used again.
func TestPlace_InvalidOrderKeepsKeyUnused(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	bad := request()
	bad["paymentMethod"] = ""
	servicetest.WantProblem(t, s.post(t, bad, "key-1"), http.StatusUnprocessableEntity, "paymentMethod")
	servicetest.Decode[view](t, s.post(t, request(), "key-1"), http.StatusAccepted)
}

func TestGet_UnknownOrderIsNotFound(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, id := range []string{uuid.NewString(), "nonsense", "a%00b", "00000000-0000-0000-0000-000000000000"} {
		servicetest.WantProblem(t, s.Call(t, http.MethodGet, "/api/v1/orders/"+id, ""), http.StatusNotFound)
		servicetest.WantProblem(t, s.Call(t, http.MethodPost, "/api/v1/orders/"+id+"/cancel", ""), http.StatusNotFound)
	}
}

// listed is one page of the list.
type listed struct {
	Items      []view
	NextCursor string
}

func (l listed) ids() []string {
	var ids []string
	for _, o := range l.Items {
		ids = append(ids, o.ID)
	}
	return ids
}

func TestList_FiltersAndSortsNewestFirst(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	list := func(query string) listed {
		return servicetest.Decode[listed](t, s.Call(t, http.MethodGet, "/api/v1/orders"+query, ""), http.StatusOK)
	}
	if got := list(""); got.Items == nil || len(got.Items) != 0 {
		t.Errorf("an empty list is %+v", got)
	}

	var mine []string
	for range 5 {
		mine = append(mine, s.place(t))
	}
	other := request()
	other["customerId"] = "c-2"
	theirs := servicetest.Decode[view](t, s.post(t, other, "k"), http.StatusAccepted).ID
	slices.Reverse(mine)
	s.Deliver(t, contracts.InventoryReserved{OrderID: mine[1]})
	s.Deliver(t, contracts.InventoryReserved{OrderID: mine[3]})

	for query, want := range map[string][]string{
		"":                                   append([]string{theirs}, mine...),
		"?customerId=c-1":                    mine,
		"?customerId=c-2":                    {theirs},
		"?customerId=unknown":                nil,
		"?status=reserved":                   {mine[1], mine[3]},
		"?customerId=c-1&status=pending":     {mine[0], mine[2], mine[4]},
		"?customerId=c-2&status=reserved":    nil,
		"?status=completed":                  nil,
		"?customerId=c-1&limit=5":            mine,
		"?status=reserved&limit=100&cursor=": {mine[1], mine[3]},
	} {
		got := list(query)
		if diff := cmp.Diff(want, got.ids()); diff != "" || got.NextCursor != "" {
			t.Errorf("%s (-want +got), next %q\n%s", query, got.NextCursor, diff)
		}
	}

	var pages [][]string
	cursor := ""
	for {
		page := list("?customerId=c-1&limit=2&cursor=" + cursor)
		pages = append(pages, page.ids())
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff([][]string{mine[:2], mine[2:4], mine[4:]}, pages); diff != "" {
		t.Errorf("pages (-want +got)\n%s", diff)
	}
}

func TestList_RejectsInvalidParameters(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, query := range []string{
		"?status=lost", "?status=Pending", "?limit=0", "?limit=101", "?limit=x", "?cursor=!", "?cursor=eA", "?cursor=IngiCg",
		"?customerId=a%00b", "?customerId=" + strings.Repeat("a", 101),
	} {
		servicetest.WantProblem(t, s.Call(t, http.MethodGet, "/api/v1/orders"+query, ""), http.StatusBadRequest)
	}
}

func TestCancel_AcceptedUntilDispatch(t *testing.T) {
	t.Parallel()
	s := newFixture(t)

	id := s.place(t)
	if got := servicetest.Decode[view](t, s.cancel(t, id), http.StatusAccepted); got.State != order.Cancelling || got.Reason != order.ByCustomer {
		t.Errorf("cancelled while pending: %+v", got)
	}
	servicetest.Decode[view](t, s.cancel(t, id), http.StatusAccepted)
	s.Deliver(t, contracts.PaymentVoided{OrderID: id, Reason: contracts.ReasonCustomer})
	if got := servicetest.Decode[view](t, s.cancel(t, id), http.StatusOK); got.State != order.Cancelled {
		t.Errorf("cancelled when cancelled: %+v", got)
	}

	late := s.place(t)
	s.Deliver(t, contracts.PaymentProcessed{OrderID: late, PaymentID: "pi_1"})
	s.Deliver(t, contracts.ShipmentDispatched{OrderID: late, ShipmentID: "sh_1", Tracking: "T-42"})
	for _, because := range []string{"dispatched", "delivered"} {
		rec := s.cancel(t, late)
		servicetest.WantProblem(t, rec, http.StatusConflict)
		if !strings.Contains(rec.Body.String(), because) {
			t.Errorf("the refusal does not name %q: %s", because, rec.Body)
		}
		s.Deliver(t, contracts.ShipmentDelivered{OrderID: late, ShipmentID: "sh_1"})
	}

	s.WantPublishedTypes(t, id, "order.created.v1", "order.cancel_requested.v1", "order.cancelled.v1")
	s.WantPublishedTypes(t, late, "order.created.v1", "order.confirmed.v1", "order.completed.v1")
}

func TestCancel_PaidOrderIsRefunded(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	s.Deliver(t, contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1"})
	servicetest.Decode[view](t, s.cancel(t, id), http.StatusAccepted)
	s.Deliver(t, contracts.PaymentRefunded{OrderID: id, Amount: euros(4499), Reason: contracts.ReasonCustomer})
	if got := s.get(t, id); got.State != order.Cancelled || got.Reason != order.ByCustomer {
		t.Errorf("order = %+v", got)
	}
}

func TestOrder_TimesAreUTC(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	var got struct {
		PlacedAt string
		History  []struct{ At string }
	}
	rec := s.Call(t, http.MethodGet, "/api/v1/orders/"+s.place(t), "")
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || len(got.History) != 1 {
		t.Fatalf("%v: %s", err, rec.Body)
	}
	for _, at := range []string{got.PlacedAt, got.History[0].At} {
		if _, err := time.Parse(time.RFC3339, at); err != nil || !strings.HasSuffix(at, "Z") {
			t.Errorf("%q is not RFC 3339 in UTC", at)
		}
	}
}
