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

// maxBody bounds one request, compressed or not, in bytes.
const maxBody = 64 << 20

// Config says what to keep, and how it is to be found. The zero value keeps everything.
type Config struct {
	// Keep, if set, says which spans are worth their memory. It sees a span before anybody else does.
	Keep func(*Span) bool
	// Index names attributes by which [Receiver.With] finds spans.
	Index []string
	// Secrets are words that no span may hold, in whatever field; see [Receiver.Told].
	Secrets []string
}

// Receiver is a running receiver. Its methods are safe for concurrent use.
type Receiver struct {
	cfg      Config
	listener net.Listener
	server   *http.Server

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, when spans have come
	traces  map[string][]*Span
	index   map[[2]string][]*Span // by key and value
	told    []string
}

// Start receives at address, such as 127.0.0.1:0, until Close.
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

// Close ends the receiver; what it has received can still be asked for.
func (r *Receiver) Close() error { return r.server.Close() }

// Port is where it listens.
func (r *Receiver) Port() int { return r.listener.Addr().(*net.TCPAddr).Port }

// URL is the value for OTEL_EXPORTER_OTLP_ENDPOINT of programs on this machine.
func (r *Receiver) URL() string { return "http://" + r.listener.Addr().String() }

// Trace answers the spans of one trace that have come so far, in the order of their starts.
func (r *Receiver) Trace(id string) []*Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sorted(r.traces[id])
}

// With answers the spans with this value of an indexed attribute, in the order of their starts.
func (r *Receiver) With(key, value string) []*Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sorted(r.index[[2]string{key, value}])
}

// Span answers one span, or nil if it has not come.
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

// Told names the spans, kept or not, that held a secret.
func (r *Receiver) Told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

// Await blocks until condition, which is asked again whenever spans have come, is true. Its error is that of ctx.
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
	told := r.tellTales(body, &batch)
	var spans []*Span
	for _, resource := range batch.ResourceSpans {
		service := serviceOf(resource)
		for _, scope := range resource.ScopeSpans {
			for _, p := range scope.Spans {
				if s := spanOf(service, p); r.cfg.Keep == nil || r.cfg.Keep(s) {
					spans = append(spans, s)
				}
			}
		}
	}
	r.add(spans, told)
	answer, err := proto.Marshal(&collectorpb.ExportTraceServiceResponse{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer) // an exporter that does not hear it sends again
}

// payload is the request's body, unpacked.
func payload(req *http.Request) ([]byte, error) {
	if kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); kind != "application/x-protobuf" {
		return nil, fmt.Errorf("content type %q: this receiver takes application/x-protobuf", kind)
	}
	reader := io.Reader(req.Body)
	switch encoding := req.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		unpacked, err := gzip.NewReader(reader)
		if err != nil {
			return nil, err
		}
		reader = unpacked
	default:
		return nil, fmt.Errorf("content encoding %q: this receiver takes gzip", encoding)
	}
	body, err := io.ReadAll(io.LimitReader(reader, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errors.New("the request is too large")
	}
	return body, err
}

func serviceOf(resource *tracepb.ResourceSpans) string {
	for _, a := range resource.GetResource().GetAttributes() {
		if a.Key == "service.name" {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// tellTales looks for secrets: in all bytes first, and only if one is there in each span, to name it.
func (r *Receiver) tellTales(body []byte, batch *collectorpb.ExportTraceServiceRequest) (told []string) {
	for _, secret := range r.cfg.Secrets {
		if !bytes.Contains(body, []byte(secret)) {
			continue
		}
		before := len(told)
		for _, resource := range batch.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, p := range scope.Spans {
					if written := p.String(); strings.Contains(written, secret) {
						told = append(told, fmt.Sprintf("%q in a span of %s: %s", secret, serviceOf(resource), written))
					}
				}
			}
		}
		if len(told) == before {
			told = append(told, fmt.Sprintf("%q in a resource or a scope: %s", secret, batch.String()))
		}
	}
	return told
}

func (r *Receiver) add(spans []*Span, told []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range spans {
		if slices.ContainsFunc(r.traces[s.Trace], func(had *Span) bool { return had.ID == s.ID }) {
			continue // an exporter that heard no answer sends again
		}
		r.traces[s.Trace] = append(r.traces[s.Trace], s)
		for _, key := range r.cfg.Index {
			if value := s.Attribute(key); value != "" {
				r.index[[2]string{key, value}] = append(r.index[[2]string{key, value}], s)
			}
		}
	}
	r.told = append(r.told, told...)
	close(r.changed)
	r.changed = make(chan struct{})
}

// sorted copies spans in the order of their starts.
func sorted(spans []*Span) []*Span {
	spans = slices.Clone(spans)
	slices.SortStableFunc(spans, func(a, b *Span) int { return a.Start.Compare(b.Start) })
	return spans
}
