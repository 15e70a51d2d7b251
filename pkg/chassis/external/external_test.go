package external_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis/external"
)

func TestClient_RejectsResponses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		respond http.HandlerFunc
		want    string // in the error; empty if the response is accepted
	}{
		"JSON":                {respond(200, "application/json", `{}`), ""},
		"problem":             {respond(500, "application/problem+json; charset=utf-8", `{}`), ""},
		"longest":             {respond(200, "application/json", strings.Repeat(" ", external.MaxResponse)), ""},
		"HTML":                {respond(200, "text/html", `<html>`), "not JSON"},
		"HTML and 500":        {respond(500, "text/html", `<html>`), "not JSON"},
		"proxy":               {respond(502, "text/html", `<html>`), "proxy returned status 502"},
		"no content type":     {respond(204, "", ""), "not JSON"},
		"content type":        {respond(200, strings.Repeat("x", 9000), `{}`), `xxx"`},
		"long":                {respond(200, "application/json", strings.Repeat(" ", external.MaxResponse+1)), "more than"},
		"long without length": {endless, "more than"},
		"long headers": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; x="+strings.Repeat("x", 2*external.MaxHeader))
		}, "header"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "redirect with status 307"},
		"redirect in JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			respond(302, "application/json", `{}`)(w, nil)
		}, "redirect with status 302"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				c.respond(w, r)
			}))
			defer server.Close()
			transport := external.NewTransport(10 * time.Second)
			defer transport.CloseIdleConnections()
			err := post(external.NewClient(transport, 10*time.Second), server.URL)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func post(client *http.Client, url string) error {
	response, err := client.Post(url, "application/json", strings.NewReader(`{}`))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if n > external.MaxResponse {
		return fmt.Errorf("%d bytes were read", n)
	}
	return err
}

func respond(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{contentType}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// endless sends a body without a length, until the client disconnects.
func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for {
		if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
			return
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"":                      "",
		"\tno such address\n":   "no such address",
		"a\x00b\nc\u202ed":      "a b c d",
		"caf\xe9":               "caf",
		"Jürgen":                "Jürgen",
		strings.Repeat("ä", 99): strings.Repeat("ä", 20),
		strings.Repeat("𝄞", 99): strings.Repeat("𝄞", 20),
	} {
		if got := external.Text(s, 20); got != want {
			t.Errorf("%q is %q, want %q", s, got, want)
		}
	}
}

func TestValidID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"pi_3f9a", "shp_0199a1b2-6f3e", "A", "1.2:3", strings.Repeat("x", external.MaxID)} {
		if !external.ValidID(id) {
			t.Errorf("%q is rejected", id)
		}
	}
	for _, id := range []string{"", "..", "_x", "a/b", "a b", "a\x00", "é", "a\xff", strings.Repeat("x", external.MaxID+1)} {
		if external.ValidID(id) {
			t.Errorf("%q is accepted", id)
		}
	}
}
