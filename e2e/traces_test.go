package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/e2e/internal/edges"
	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// spans receives what the services of all shops of this suite tell about their work, from their start.
var spans *otlp.Receiver

// secrets are what neither a span nor a line of a log may hold: names and addresses, cards, keys and tokens.
var secrets = []string{
	private, "pm_card", "sk_test_", "e2e-token", "e2e-carrier-secret", "let-me-see", "carrier-shares-this",
}

func receiveSpans() (end func(), err error) {
	spans, err = otlp.Start(receivingAddress(), otlp.Config{
		Keep: worthKeeping, Index: []string{edges.Subject}, Secrets: secrets,
	})
	return func() { _ = spans.Close() }, err
}

// worthKeeping leaves out statements and looks, of which there are by far the most.
func worthKeeping(s *otlp.Span) bool {
	statement := s.Attribute("db.system.name") != "" || s.Attribute("db.system") != ""
	look := s.Kind == otlp.Server && s.Attribute("http.request.method") == http.MethodGet
	return !statement && !look
}

// exporting are the settings by which a service on this machine sends its spans to us: soon, and all of them.
func exporting() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + spans.URL(), "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_BSP_MAX_QUEUE_SIZE=65536"}
}

// edgesOf is the table of all stories.
var edgesOf = sync.OnceValues(func() (edges.Table, error) {
	file, err := os.Open("testdata/edges.txt")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return edges.ParseTable(file)
})

// assertTrace checks that an order's spans are one trace, in good order, and have the edges of its story and no other. It
// is for orders about which nothing is under way any more.
func assertTrace(t *testing.T, order, story string) []*otlp.Span {
	t.Helper()
	table, err := edgesOf()
	if err != nil {
		t.Fatal(err)
	}
	want := table[story]
	if want == nil {
		t.Fatalf("testdata/edges.txt has no story %q", story)
	}
	// What was done has been written down, but need not have been told yet.
	var (
		trace    []*otlp.Span
		wrong    string
		deadline = time.Now().Add(20 * time.Second)
	)
	for {
		shop.flushSpans(t)
		trace = traceOf(order)
		got := edges.Read(trace, spans.Span)
		if wrong = want.Diff(got.Edges) + strings.Join(got.Flaws, "\n"); wrong == "" {
			return trace
		}
		if time.Now().After(deadline) {
			t.Errorf("order %s, story %q:\n%s\n\n%s", order, story, wrong, edges.Tree(trace, spans.Span))
			return trace
		}
	}
}

// traceOf is the trace of an order with all its spans, and those about the order that are elsewhere.
func traceOf(order string) []*otlp.Span {
	about := spans.With(edges.Subject, order)
	if len(about) == 0 {
		return nil
	}
	trace := spans.Trace(about[0].Trace)
	for _, s := range about {
		if s.Trace != about[0].Trace {
			trace = append(trace, s)
		}
	}
	return trace
}

// flushSpans waits until all spans that have ended by now are here. Each service sends its spans in the order of their
// ends, so it is asked something by which its last one is known.
func (s *Shop) flushSpans(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, url := range []string{s.Order, s.Inventory, s.Payment, s.Shipping} {
		var ids [24]byte
		_, _ = rand.Read(ids[:]) // never fails
		trace := hex.EncodeToString(ids[:16])
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/nothing-is-here", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", "00-"+trace+"-"+hex.EncodeToString(ids[16:])+"-01")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if err := spans.Await(ctx, func() bool { return len(spans.Trace(trace)) > 0 }); err != nil {
			t.Fatalf("no spans come from %s: %v", serviceNames[i], err)
		}
	}
}

// told lists who told a secret, in spans or logs.
func (s *Shop) told() (told []string) {
	told = spans.Told()
	logs, err := s.ServiceLogs()
	if err != nil {
		told = append(told, err.Error())
	}
	for line := range bytes.Lines(logs) {
		if slices.ContainsFunc(secrets, func(secret string) bool { return bytes.Contains(line, []byte(secret)) }) {
			told = append(told, fmt.Sprintf("in a log: %s", line))
		}
	}
	return told
}
