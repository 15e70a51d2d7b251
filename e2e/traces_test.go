package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
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

// spans receives the spans of the services of all stacks of this suite.
var spans *otlp.Receiver

// secrets must occur neither in spans nor in logs: names and addresses, cards, keys and tokens.
var secrets = []string{
	private, "pm_card", "sk_test_", "e2e-token", "e2e-carrier-secret", "let-me-see", "carrier-shares-this",
}

// receiveSpans starts to receive spans.
func receiveSpans() (stop func(), err error) {
	spans, err = otlp.Start(receivingAddress(), otlp.Config{
		Keep: keepSpan, Index: []string{edges.Subject, "url.path"}, Secrets: secrets,
	})
	return func() { _ = spans.Close() }, err
}

// keepSpan drops the most frequent spans, which the tests do not need: database statements and GET requests.
func keepSpan(s *otlp.Span) bool {
	statement := s.Attribute("db.system.name") != "" || s.Attribute("db.system") != ""
	get := s.Kind == otlp.Server && s.Attribute("http.request.method") == http.MethodGet
	return !statement && !get
}

// spanSettings returns the environment with which a process sends its spans to this suite, soon and without dropping any.
func spanSettings() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + spans.URL(), "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_BSP_MAX_QUEUE_SIZE=65536"}
}

// edgeTable returns the edges of all stories.
var edgeTable = sync.OnceValues(func() (edges.Table, error) {
	file, err := os.Open("testdata/edges.txt")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return edges.ParseTable(file)
})

// assertTrace checks that an order's spans form one valid trace, which has the edges of the story and no others. Nothing
// about the order may be under way. It returns the spans.
func assertTrace(t *testing.T, order, story string) []*otlp.Span {
	t.Helper()
	table, err := edgeTable()
	if err != nil {
		t.Fatal(err)
	}
	want := table[story]
	if want == nil {
		t.Fatalf("testdata/edges.txt has no story %q", story)
	}
	// A service commits its work before the span ends.
	deadline := time.Now().Add(20 * time.Second)
	for {
		stack.flushSpans(t)
		trace := orderTrace(order)
		got := edges.Read(trace, spans.Span)
		mismatch := want.Diff(got.Edges) + strings.Join(got.Flaws, "\n")
		if mismatch == "" {
			return trace
		}
		if time.Now().After(deadline) {
			t.Errorf("order %s, story %q:\n%s\n\n%s", order, story, mismatch, edges.Tree(trace, spans.Span))
			return trace
		}
	}
}

// orderTrace returns the spans of an order's trace, and spans with the order as the subject that are in other traces.
func orderTrace(order string) []*otlp.Span {
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

// flushSpans blocks until all spans that have ended are received. A service exports spans in the order of their ends, so
// that it is enough to wait for the span of one more request to each service.
func (s *Stack) flushSpans(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	var (
		all  sync.WaitGroup
		errs = make([]error, len(serviceNames))
	)
	for i, url := range s.services() {
		all.Go(func() {
			if err := flushSpans(ctx, url); err != nil {
				errs[i] = fmt.Errorf("no spans arrive from %s: %w", serviceNames[i], err)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func flushSpans(ctx context.Context, url string) error {
	path := "/api/v1/flush-spans/" + rand.Text()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	return spans.Await(ctx, func() bool { return len(spans.With("url.path", path)) > 0 })
}

// leaks returns the spans and log lines that contain a secret.
func (s *Stack) leaks() (leaks []string) {
	leaks = spans.Leaks()
	logs, err := s.ServiceLogs()
	if err != nil {
		leaks = append(leaks, err.Error())
	}
	for line := range bytes.Lines(logs) {
		if slices.ContainsFunc(secrets, func(secret string) bool { return bytes.Contains(line, []byte(secret)) }) {
			leaks = append(leaks, fmt.Sprintf("in a log: %s", line))
		}
	}
	return leaks
}
