package inventory_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

const silkFan = `{"name":"Silk fan","price":{"amount":1999,"currency":"EUR"}}`

// wantJSON checks the status and the body, as JSON values.
func wantJSON(t *testing.T, rec *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if rec.Code != status {
		t.Errorf("status %d, want %d: %s", rec.Code, status, rec.Body)
	}
	var got, want any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatalf("not JSON: %q", rec.Body)
	}
	if err := json.Unmarshal([]byte(body), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPutProduct_CreatesUpdatesOrKeeps(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	const path = "/api/v1/products/fan"

	wantJSON(t, s.Call(t, "PUT", path, silkFan), 201, `{"sku":"fan","name":"Silk fan",
		"price":{"amount":1999,"currency":"EUR"},"onHand":0,"reserved":0,"available":0,"version":1}`)
	wantJSON(t, s.Call(t, "PUT", path, silkFan), 200, `{"sku":"fan","name":"Silk fan",
		"price":{"amount":1999,"currency":"EUR"},"onHand":0,"reserved":0,"available":0,"version":1}`)
	wantJSON(t, s.Call(t, "PUT", path, strings.ReplaceAll(silkFan, "1999", "2100")), 200, `{"sku":"fan","name":"Silk fan",
		"price":{"amount":2100,"currency":"EUR"},"onHand":0,"reserved":0,"available":0,"version":2}`)

	s.WantPublishedAbout(t, "fan",
		contracts.ProductCreated{SKU: "fan", Name: "Silk fan", Price: contracts.Money{Amount: 1999, Currency: "EUR"}, Version: 1},
		contracts.ProductUpdated{SKU: "fan", Name: "Silk fan", Price: contracts.Money{Amount: 2100, Currency: "EUR"}, Version: 2})
}

func TestPutProduct_RejectsInvalidInput(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	body := func(old, replacement string) string { return strings.Replace(silkFan, old, replacement, 1) }
	for name, c := range map[string]struct {
		sku, body string
		status    int
		fields    []string
	}{
		"no JSON":              {"fan", `{"name":`, 400, nil},
		"no body":              {"fan", ``, 400, nil},
		"unknown field":        {"fan", body(`"name"`, `"colour":"red","name"`), 400, nil},
		"price as text":        {"fan", body(`1999`, `"1999"`), 400, nil},
		"fraction of a cent":   {"fan", body(`1999`, `19.99`), 400, nil},
		"trailing data":        {"fan", silkFan + silkFan, 400, nil},
		"no name":              {"fan", body(`Silk fan`, ` `), 422, []string{"name"}},
		"long name":            {"fan", body(`Silk fan`, strings.Repeat("x", 201)), 422, []string{"name"}},
		"control characters":   {"fan", body(`Silk fan`, `Silk\u0000fan`), 422, []string{"name"}},
		"no price":             {"fan", `{"name":"Silk fan"}`, 422, []string{"price.amount", "price.currency"}},
		"price of zero":        {"fan", body(`1999`, `0`), 422, []string{"price.amount"}},
		"negative price":       {"fan", body(`1999`, `-1`), 422, []string{"price.amount"}},
		"price beyond measure": {"fan", body(`1999`, `100000001`), 422, []string{"price.amount"}},
		"lower-case currency":  {"fan", body(`EUR`, `eur`), 422, []string{"price.currency"}},
		"long currency":        {"fan", body(`EUR`, `EURO`), 422, []string{"price.currency"}},
		"everything wrong":     {"fan", `{}`, 422, []string{"name", "price.amount", "price.currency"}},
		"odd SKU":              {"fan%20club", silkFan, 422, []string{"sku"}},
		"SKU with a NUL":       {"fan%00", silkFan, 422, []string{"sku"}},
		"long SKU":             {strings.Repeat("x", 65), silkFan, 422, []string{"sku"}},
	} {
		t.Run(name, func(t *testing.T) {
			rec := s.Call(t, "PUT", "/api/v1/products/"+c.sku, c.body, "Content-Type: application/json")
			servicetest.WantProblem(t, rec, c.status, c.fields...)
		})
	}
	wantJSON(t, s.Call(t, "GET", "/api/v1/products", ""), 200, `{"items":[]}`)
}

func TestDeleteProduct(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 3)
	s.Deliver(t, order("o-1", item("fan", 1)))

	servicetest.WantProblem(t, s.Call(t, "DELETE", "/api/v1/products/fan", ""), 409)
	s.Deliver(t, contracts.PaymentFailed{OrderID: "o-1"})
	s.remove(t, "fan")
	servicetest.WantProblem(t, s.Call(t, "DELETE", "/api/v1/products/fan", ""), 404)
	servicetest.WantProblem(t, s.Call(t, "DELETE", "/api/v1/products/unknown", ""), 404)
	servicetest.WantProblem(t, s.Call(t, "GET", "/api/v1/products/fan", ""), 404)
	servicetest.WantProblem(t, s.Call(t, "POST", "/api/v1/products/fan/restock", `{"quantity":1}`), 404)

	wantJSON(t, s.Call(t, "PUT", "/api/v1/products/fan", silkFan), 201, `{"sku":"fan","name":"Silk fan",
		"price":{"amount":1999,"currency":"EUR"},"onHand":3,"reserved":0,"available":3,"version":3}`)
}

func TestGetProduct_UnknownIsNotFound(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, sku := range []string{"fan", "fan%00", "%F0%28"} {
		servicetest.WantProblem(t, s.Call(t, "GET", "/api/v1/products/"+sku, ""), 404)
	}
}

func TestListProducts_PagesBySKU(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, sku := range []string{"score", "fan", "violin", "gloves", "lute"} {
		s.stock(t, sku, 1)
	}
	s.remove(t, "lute")

	var got []string
	path := "/api/v1/products?limit=2"
	for pages := 0; path != "" && pages < 5; pages++ {
		var page struct {
			Items      []struct{ SKU string }
			NextCursor string
		}
		s.getJSON(t, path, &page)
		for _, p := range page.Items {
			got = append(got, p.SKU)
		}
		path = ""
		if page.NextCursor != "" {
			got = append(got, "|")
			path = "/api/v1/products?limit=2&cursor=" + page.NextCursor
		}
	}
	if diff := cmp.Diff([]string{"fan", "gloves", "|", "score", "violin"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, query := range []string{"cursor=!", "limit=0", "limit=1000", "limit=x"} {
		servicetest.WantProblem(t, s.Call(t, "GET", "/api/v1/products?"+query, ""), 400)
	}
}

func TestRestock_AddsStock(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Call(t, "PUT", "/api/v1/products/fan", silkFan)

	wantJSON(t, s.Call(t, "POST", "/api/v1/products/fan/restock", `{"quantity":3}`), 201,
		`{"sku":"fan","onHand":3,"reserved":0,"available":3}`)
	wantJSON(t, s.Call(t, "POST", "/api/v1/products/fan/restock", `{"quantity":4}`), 201,
		`{"sku":"fan","onHand":7,"reserved":0,"available":7}`)
}

func TestRestock_RepeatedKeyAddsOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Call(t, "PUT", "/api/v1/products/fan", silkFan)

	for range 3 {
		wantJSON(t, s.Call(t, "POST", "/api/v1/products/fan/restock", `{"quantity":3}`, "Idempotency-Key: delivery-7"), 201,
			`{"sku":"fan","onHand":3,"reserved":0,"available":3}`)
	}
	servicetest.WantProblem(t, s.Call(t, "POST", "/api/v1/products/fan/restock", `{"quantity":4}`, "Idempotency-Key: delivery-7"), 422)
	s.wantStock(t, "fan", 3, 0)
}

func TestRestock_RejectsInvalidInput(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 7)
	const most = 1_000_000
	for body, status := range map[string]int{
		`{"quantity":0}`:                       422,
		`{"quantity":-1}`:                      422,
		`{}`:                                   422,
		fmt.Sprintf(`{"quantity":%d}`, most+1): 422,
		`{"quantity":1.5}`:                     400,
		`{"quantity":99999999999999999999999999}`: 400,
		`{"quantity":1,"colour":"red"}`:           400,
	} {
		t.Run(body, func(t *testing.T) {
			rec := s.Call(t, "POST", "/api/v1/products/fan/restock", body)
			if status == 422 {
				servicetest.WantProblem(t, rec, status, "quantity")
			} else {
				servicetest.WantProblem(t, rec, status)
			}
		})
	}
	if err := s.DB.Exec("UPDATE products SET received = 1000000000, on_hand = 1000000000").Error; err != nil {
		t.Fatal(err)
	}
	servicetest.WantProblem(t, s.Call(t, "POST", "/api/v1/products/fan/restock", `{"quantity":1}`), 409)
	servicetest.WantProblem(t, s.Call(t, "POST", "/api/v1/products/unknown/restock", `{"quantity":1}`), 404)
}

func TestGetReservation(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 3)
	s.Deliver(t, order("o-1", item("fan", 1)))
	s.Deliver(t, order("o-2", item("fan", 3)))
	s.Deliver(t, contracts.PaymentFailed{OrderID: "o-3"}) // nothing to release: still nothing known
	s.Deliver(t, contracts.PaymentVoided{OrderID: "o-4"})

	wantJSON(t, s.Call(t, "GET", "/api/v1/reservations/o-1", ""), 200,
		`{"orderId":"o-1","state":"reserved","items":[{"sku":"fan","quantity":1}],"shortages":[]}`)
	wantJSON(t, s.Call(t, "GET", "/api/v1/reservations/o-2", ""), 200,
		`{"orderId":"o-2","state":"failed","items":[{"sku":"fan","quantity":3}],
		  "shortages":[{"sku":"fan","requested":3,"available":2}]}`)
	servicetest.WantProblem(t, s.Call(t, "GET", "/api/v1/reservations/o-3", ""), 404)
	wantJSON(t, s.Call(t, "GET", "/api/v1/reservations/o-4", ""), 200,
		`{"orderId":"o-4","state":"tombstone","items":[],"shortages":[]}`)
	servicetest.WantProblem(t, s.Call(t, "GET", "/api/v1/reservations/%00", ""), 404)
}

func TestAPI_WithoutDatabase(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Stop()
	if err := database.Close(s.DB); err != nil {
		t.Fatal(err)
	}
	rec := s.Call(t, "GET", "/api/v1/products", "")
	if rec.Code < 500 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if strings.Contains(rec.Body.String(), "sql") {
		t.Errorf("leaks: %s", rec.Body)
	}
}
