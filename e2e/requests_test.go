package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/e2e/httpfile"
)

// Each requests.http can be clicked through from top to bottom, and is answered as it says.
func TestRequests_AreAnsweredAsTheySay(t *testing.T) {
	t.Parallel()
	// What the files say is where make up opens the shop.
	here := map[string]string{
		"http://localhost:8081": shop.Order, "http://localhost:8082": shop.Inventory,
		"http://localhost:8083": shop.Payment, "http://localhost:8084": shop.Shipping, "let-me-see": shop.Token,
	}
	for _, service := range []string{"order", "inventory", "payment", "shipping"} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("..", "services", service, "requests.http")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := httpfile.Parse(string(text))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			for name, value := range file.Variables {
				if file.Variables[name] = here[value]; file.Variables[name] == "" {
					t.Fatalf("%s: %s is %q, which is nothing that make up opens", path, name, value)
				}
			}
			awaitCatalogue(t)
			earlier := map[string]httpfile.Exchange{}
			for _, r := range file.Requests {
				x := sendAsWritten(t, file, r, earlier)
				if r.Name != "" {
					earlier[r.Name] = x
				}
				if t.Failed() {
					t.Fatalf("%s:%d: %s", path, r.Line, r.Title)
				}
			}
		})
	}
}

// sendAsWritten sends a request until it is answered as it expects, which must be the first time unless it says otherwise.
func sendAsWritten(t *testing.T, file httpfile.File, r httpfile.Request, earlier map[string]httpfile.Exchange) httpfile.Exchange {
	t.Helper()
	fill := func(text string) string {
		filled, err := file.Fill(text, earlier, uuid.NewString)
		if err != nil {
			t.Fatalf("line %d: %v", r.Line, err)
		}
		return filled
	}
	url, body := fill(r.URL), []byte(fill(r.Body))
	x := httpfile.Exchange{RequestHeader: http.Header{}, RequestBody: body}
	var header []string
	for _, h := range r.Header {
		header = append(header, h[0], fill(h[1]))
		x.RequestHeader.Set(h[0], header[len(header)-1])
	}
	var a answer
	send := func() bool {
		var err error
		if a, err = shop.send(r.Method, url, body, header...); err != nil {
			t.Fatal(err)
		}
		x.Header, x.Body = a.kept(t).header, a.body
		return r.Expect.Met(a.status, a.body)
	}
	if r.Expect.Field == "" {
		if !send() {
			t.Errorf("%s %s: status %d, expects %v: %s", r.Method, url, a.status, r.Expect.Statuses, a.body)
		}
		return x
	}
	shop.eventually(t, fmt.Sprintf("%s %s is answered %v with %s %s", r.Method, url, r.Expect.Statuses, r.Expect.Field, r.Expect.Value),
		send, func() string { return fmt.Sprintf("%d %s", a.status, a.body) })
	return x
}

// awaitCatalogue waits until the products that the shop opens with can be ordered: the order service then refuses an
// order for all of them only because of one that does not exist.
func awaitCatalogue(t *testing.T) {
	t.Helper()
	probe := orderOf("no-such-product", 1)
	for _, sku := range []string{"dance-shoes", "fan", "gloves", "score", "violin"} {
		probe.Items = append(probe.Items, item{sku, 1})
	}
	shop.eventually(t, "the seeded products are known", func() bool {
		a, err := shop.do(http.MethodPost, shop.Order+"/api/v1/orders", probe, "Idempotency-Key", uuid.NewString())
		return err == nil && a.status == http.StatusUnprocessableEntity && !bytes.Contains(a.body, []byte("items[1]")) &&
			!bytes.Contains(a.body, []byte("items[5]"))
	})
}
