package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// maxBody is the maximum size of a request body in bytes, compressed or not.
const maxBody = 64 << 20

// Config selects the spans to keep and how to find them. The zero value keeps all spans.
type Config struct {
	// Keep, if set, reports whether to keep a span.
	Keep func(*Span) bool
	// Index lists the attributes by which [Receiver.With] finds spans.
	Index []string
	// Secrets are texts that must not occur in any field of a span; see [Receiver.Leaks].
	Secrets []string
}

// Receiver is a running receiver. Its methods are safe for concurrent use.
type Receiver struct {
	cfg      Config
	listener net.Listener
	server   *http.Server

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when spans arrive
	traces  map[string][]*Span
	index   map[[2]string][]*Span // by key and value
	leaks   []string
}

// Start starts a receiver that listens at address, such as 127.0.0.1:0, until Close.
func Start(address string, cfg Config) (*Receiver, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("receive spans: %w", err)
	}
	r := &Receiver{
		cfg: cfg, listener: listener, changed: make(chan struct{}),
		traces: map[string][]*Span{}, index: map[[2]string][]*Span{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.export)
	r.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = r.server.Serve(listener) }() // ends with Close
	return r, nil
}

// Close stops the receiver. The spans that it has received stay available.
func (r *Receiver) Close() error { return r.server.Close() }

// Port returns the port of the listener.
func (r *Receiver) Port() int { return r.listener.Addr().(*net.TCPAddr).Port }

// URL returns the value of OTEL_EXPORTER_OTLP_ENDPOINT for programs on this machine.
func (r *Receiver) URL() string { return "http://" + r.listener.Addr().String() }

// Trace returns the spans of a trace received so far, in the order of their starts.
func (r *Receiver) Trace(id string) []*Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sorted(r.traces[id])
}

// With returns the spans received so far with this value of an indexed attribute, in the order of their starts.
func (r *Receiver) With(key, value string) []*Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sorted(r.index[[2]string{key, value}])
}

// Span returns the span that a link refers to, or nil if it was not received.
func (r *Receiver) Span(l Link) *Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.traces[l.Trace] {
		if s.ID == l.ID {
			return s
		}
	}
	return nil
}

// Leaks returns descriptions of the spans that contained a secret, including spans that were not kept.
func (r *Receiver) Leaks() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.leaks)
}

// Await blocks until the condition is true. It evaluates the condition each time spans arrive. Its error is that of ctx.
func (r *Receiver) Await(ctx context.Context, condition func() bool) error {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Receiver) export(w http.ResponseWriter, req *http.Request) {
	body, err := payload(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var batch collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &batch); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	leaks := r.findSecrets(body, &batch)
	var spans []*Span
	for _, resource := range batch.ResourceSpans {
		service := serviceName(resource)
		for _, scope := range resource.ScopeSpans {
			for _, p := range scope.Spans {
				if s := toSpan(service, p); r.cfg.Keep == nil || r.cfg.Keep(s) {
					spans = append(spans, s)
				}
			}
		}
	}
	r.add(spans, leaks)
	response, err := proto.Marshal(&collectorpb.ExportTraceServiceResponse{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(response) // an exporter without a response sends again
}

// payload returns the decompressed body of the request.
func payload(req *http.Request) ([]byte, error) {
	if kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); kind != "application/x-protobuf" {
		return nil, fmt.Errorf("content type %q is not application/x-protobuf", kind)
	}
	reader := io.Reader(req.Body)
	switch encoding := req.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		decompressed, err := gzip.NewReader(reader)
		if err != nil {
			return nil, err
		}
		reader = decompressed
	default:
		return nil, fmt.Errorf("content encoding %q is not gzip", encoding)
	}
	body, err := io.ReadAll(io.LimitReader(reader, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errors.New("request body is too large")
	}
	return body, err
}

func serviceName(resource *tracepb.ResourceSpans) string {
	for _, a := range resource.GetResource().GetAttributes() {
		if a.Key == "service.name" {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// findSecrets searches for secrets in all bytes, and only if it finds one in each span, to name the span.
func (r *Receiver) findSecrets(body []byte, batch *collectorpb.ExportTraceServiceRequest) (leaks []string) {
	for _, secret := range r.cfg.Secrets {
		if !bytes.Contains(body, []byte(secret)) {
			continue
		}
		before := len(leaks)
		for _, resource := range batch.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, p := range scope.Spans {
					if written := p.String(); strings.Contains(written, secret) {
						leaks = append(leaks, fmt.Sprintf("%q in a span of %s: %s", secret, serviceName(resource), written))
					}
				}
			}
		}
		if len(leaks) == before {
			leaks = append(leaks, fmt.Sprintf("%q in a resource or a scope: %s", secret, batch.String()))
		}
	}
	return leaks
}

func (r *Receiver) add(spans []*Span, leaks []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range spans {
		if slices.ContainsFunc(r.traces[s.Trace], func(had *Span) bool { return had.ID == s.ID }) {
			continue // an exporter without a response sends again
		}
		r.traces[s.Trace] = append(r.traces[s.Trace], s)
		for _, key := range r.cfg.Index {
			if value := s.Attribute(key); value != "" {
				r.index[[2]string{key, value}] = append(r.index[[2]string{key, value}], s)
			}
		}
	}
	r.leaks = append(r.leaks, leaks...)
	close(r.changed)
	r.changed = make(chan struct{})
}

// sorted returns the spans in the order of their starts.
func sorted(spans []*Span) []*Span {
	spans = slices.Clone(spans)
	slices.SortStableFunc(spans, func(a, b *Span) int { return a.Start.Compare(b.Start) })
	return spans
}
