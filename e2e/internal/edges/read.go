package edges

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// The attributes by which messaging spans are understood.
const (
	Subject      = "cloudevents.event_subject"
	eventType    = "cloudevents.event_type"
	eventSource  = "cloudevents.event_source"
	operation    = "messaging.operation.name"
	destination  = "messaging.destination.name"
	messageID    = "messaging.message.id"
	conversation = "messaging.message.conversation_id"
	attempt      = "events.attempt" // ours
)

// Reading is what an order's spans tell.
type Reading struct {
	Edges []string // each once, sorted
	Flaws []string // what is wrong with the spans themselves
}

// Read reads the spans of one order, which should be those of one trace. find looks up spans of other traces, which some
// of them link to; it answers nil for one that it does not know.
func Read(spans []*otlp.Span, find func(otlp.Link) *otlp.Span) Reading {
	r := &reader{spans: spans, byID: map[string]*otlp.Span{}, find: find}
	for _, s := range spans {
		r.byID[s.ID] = s
	}
	r.readEdges()
	r.checkTrace()
	for _, s := range spans {
		switch s.Attribute(operation) {
		case "create":
			r.checkCreate(s)
		case "publish":
			r.checkPublish(s)
		case "process":
			r.checkProcess(s)
		}
	}
	slices.Sort(r.Edges)
	r.Edges = slices.Compact(r.Edges)
	return r.Reading
}

type reader struct {
	Reading
	spans []*otlp.Span
	byID  map[string]*otlp.Span
	find  func(otlp.Link) *otlp.Span
}

func (r *reader) edge(from, what, to string) {
	r.Edges = append(r.Edges, fmt.Sprintf("%s -- %s --> %s", from, what, to))
}

func (r *reader) flaw(s *otlp.Span, format string, args ...any) {
	r.Flaws = append(r.Flaws, fmt.Sprintf("%s, %q: ", s.Service, s.Name)+fmt.Sprintf(format, args...))
}

func (r *reader) readEdges() {
	for _, s := range r.spans {
		switch {
		case s.Attribute(operation) == "create":
			r.readEvent(s)
		case isMessaging(s):
		case s.Kind == otlp.Server:
			r.readRequest(s)
		case s.Kind == otlp.Client && s.Attribute("http.request.method") != "":
			r.edge(r.serviceOf(s), callOf(s), outsiders[r.serviceOf(s)])
		}
		for _, l := range s.Links {
			if request := r.find(l); request != nil && request.Kind == otlp.Server {
				r.readRequest(request)
			}
		}
	}
}

// readEvent finds the edges of one event, to everybody who processed it. One that nobody did went to nobody if it was
// published, and else is still to come.
func (r *reader) readEvent(create *otlp.Span) {
	from, what := Service(create), create.Attribute(eventType)
	published, processed := false, false
	for _, s := range r.spans {
		if s.Attribute(messageID) != create.Attribute(messageID) {
			continue
		}
		switch s.Attribute(operation) {
		case "publish":
			published = published || !s.Failed
		case "process":
			processed = true
			r.edge(from, what, fmt.Sprintf("%s (%s)", Service(s), Queue(s)))
		}
	}
	switch {
	case processed:
	case published:
		r.edge(from, what, "nobody")
	default:
		r.edge(from, what, "later")
	}
}

// callers and outsiders are whom the services talk with outside of the shop.
var (
	callers   = map[string]string{"order": "customer", "inventory": "clerk", "payment": "processor", "shipping": "carrier"}
	outsiders = map[string]string{"payment": "processor", "shipping": "carrier"}
)

func (r *reader) readRequest(s *otlp.Span) {
	method, route := s.Attribute("http.request.method"), s.Attribute("http.route")
	to := r.serviceOf(s)
	r.edge(callers[to], method+" "+route, to)
}

// serviceOf is a span's service also where all services are one process, which gives its own name to all spans: then it
// is that of the reaction around it, or known by the route.
func (r *reader) serviceOf(s *otlp.Span) string {
	if callers[s.Service] != "" {
		return s.Service
	}
	for around := s; around != nil; around = r.byID[around.Parent] {
		if service := Service(around); service != "" {
			return service
		}
		switch route := around.Attribute("http.route"); {
		case strings.HasPrefix(route, "/api/v1/orders"):
			return "order"
		case strings.HasPrefix(route, "/webhooks/carrier"):
			return "shipping"
		case strings.HasPrefix(route, "/api/v1/products"):
			return "inventory"
		}
	}
	return s.Service
}

// Service is whose messaging span it is by what it says of the message, or "" for any other span.
func Service(s *otlp.Span) string {
	if s.Attribute(operation) == "process" {
		service, _, _ := strings.Cut(Queue(s), ".")
		return service
	}
	source := s.Attribute(eventSource)
	return source[strings.LastIndex(source, "/")+1:]
}

// Queue is the queue of a process span, under the name that it has on RabbitMQ: the destination's last part.
func Queue(s *otlp.Span) string {
	name := s.Attribute(destination)
	name = name[strings.LastIndex(name, ":")+1:]
	if name != "" && !strings.HasSuffix(name, ".q") {
		name += ".q"
	}
	return name
}

func isMessaging(s *otlp.Span) bool { return s.Attribute(operation) != "" }

// callOf is an outgoing request's method and path, without ids.
func callOf(s *otlp.Span) string {
	path := s.Attribute("url.full")
	if u, err := url.Parse(path); err == nil {
		path = u.Path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if len(segment) >= 8 && strings.ContainsAny(segment, "0123456789") {
			segments[i] = "{id}"
		}
	}
	return s.Attribute("http.request.method") + " " + strings.Join(segments, "/")
}
