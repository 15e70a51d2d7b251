package edges

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// The attributes of messaging spans.
const (
	Subject      = "cloudevents.event_subject"
	eventType    = "cloudevents.event_type"
	eventSource  = "cloudevents.event_source"
	operation    = "messaging.operation.name"
	destination  = "messaging.destination.name"
	messageID    = "messaging.message.id"
	conversation = "messaging.message.conversation_id"
	attempt      = "events.attempt" // of package events
)

// Reading is the result of Read.
type Reading struct {
	Edges []string // each once, sorted
	Flaws []string // errors in the spans themselves
}

// Read returns the edges and the flaws of the spans of one order, which should form one trace. find returns a span of another
// trace that a link refers to, or nil if it is unknown.
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
			r.edge(r.serviceName(s), callName(s), external[r.serviceName(s)])
		}
		for _, l := range s.Links {
			if request := r.find(l); request != nil && request.Kind == otlp.Server {
				r.readRequest(request)
			}
		}
	}
}

// readEvent adds an edge to each service that processed the event. If there is none, the edge leads to "none" if the event was
// published, and to "later" if it is scheduled.
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
		r.edge(from, what, "none")
	default:
		r.edge(from, what, "later")
	}
}

// callers send requests to a service; external systems get requests from one.
var (
	callers  = map[string]string{"order": "customer", "inventory": "clerk", "payment": "processor", "shipping": "carrier"}
	external = map[string]string{"payment": "processor", "shipping": "carrier"}
)

func (r *reader) readRequest(s *otlp.Span) {
	method, route := s.Attribute("http.request.method"), s.Attribute("http.route")
	to := r.serviceName(s)
	r.edge(callers[to], method+" "+route, to)
}

// serviceName returns the service of a span. In the embedded stack, where all spans have the name of the process, it is the
// service of the handler around the span, or that of the route.
func (r *reader) serviceName(s *otlp.Span) string {
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

// Service returns the service of a messaging span according to its attributes, or "" for other spans.
func Service(s *otlp.Span) string {
	if s.Attribute(operation) == "process" {
		service, _, _ := strings.Cut(Queue(s), ".")
		return service
	}
	source := s.Attribute(eventSource)
	return source[strings.LastIndex(source, "/")+1:]
}

// Queue returns the queue of a process span with its name on RabbitMQ, which is the last part of the destination.
func Queue(s *otlp.Span) string {
	name := s.Attribute(destination)
	name = name[strings.LastIndex(name, ":")+1:]
	if name != "" && !strings.HasSuffix(name, ".q") {
		name += ".q"
	}
	return name
}

func isMessaging(s *otlp.Span) bool { return s.Attribute(operation) != "" }

// callName returns the method and the path of an outgoing request, with placeholders for ids.
func callName(s *otlp.Span) string {
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
