package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/e2e/httpfile"
)

// The requests of each requests.http, sent from top to bottom, have the responses that the file expects.
func TestRequestFiles_HaveExpectedResponses(t *testing.T) {
	t.Parallel()
	// The files contain the addresses and the token of make up.
	values := map[string]string{
		"http://localhost:8081": stack.Order, "http://localhost:8082": stack.Inventory,
		"http://localhost:8083": stack.Payment, "http://localhost:8084": stack.Shipping, "let-me-see": stack.Token,
	}
	for _, service := range serviceNames {
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
				if file.Variables[name] = values[value]; file.Variables[name] == "" {
					t.Fatalf("%s: %s is %q, which is not an address of make up", path, name, value)
				}
			}
			previous := map[string]httpfile.Exchange{}
			for _, r := range file.Requests {
				x := sendRequest(t, file, r, previous)
				if r.Name != "" {
					previous[r.Name] = x
				}
				if t.Failed() {
					t.Fatalf("%s:%d: %s", path, r.Line, r.Title)
				}
			}
		})
	}
}

// sendRequest sends a request and checks the response. It repeats requests that expect a field to have a value eventually.
func sendRequest(t *testing.T, file httpfile.File, r httpfile.Request, previous map[string]httpfile.Exchange) httpfile.Exchange {
	t.Helper()
	fill := func(text string) string {
		filled, err := file.Fill(text, previous, uuid.NewString)
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
	var got response
	send := func() bool {
		var err error
		if got, err = stack.send(r.Method, url, body, header...); err != nil {
			t.Fatal(err)
		}
		x.Header, x.Body = got.conforming(t).header, got.body
		return r.Expect.Matches(got.status, got.body)
	}
	if r.Expect.Field == "" {
		if !send() {
			t.Errorf("%s %s: status %d, want %v: %s", r.Method, url, got.status, r.Expect.Statuses, got.body)
		}
		return x
	}
	stack.eventually(t, fmt.Sprintf("%s %s has the status %v and %s is %s", r.Method, url, r.Expect.Statuses, r.Expect.Field, r.Expect.Value),
		send, func() string { return fmt.Sprintf("%d %s", got.status, got.body) })
	return x
}
