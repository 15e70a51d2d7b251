package edges

import (
	"strconv"

	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// checkTrace checks that there is one trace with one root, and that all parents are present.
func (r *reader) checkTrace() {
	var (
		root   *otlp.Span
		others = map[string]int{} // number of spans by other traces
		first  = map[string]*otlp.Span{}
	)
	for _, s := range r.spans {
		switch {
		case s.Trace != r.spans[0].Trace:
			if others[s.Trace]++; others[s.Trace] == 1 {
				first[s.Trace] = s
			}
		case s.Parent != "" && r.byID[s.Parent] == nil:
			r.flaw(s, "its parent is missing")
		case s.Parent == "" && root != nil:
			r.flaw(s, "is a second root besides %q", root.Name)
		case s.Parent == "":
			root = s
		}
	}
	for trace, n := range others {
		r.flaw(first[trace], "begins another trace with %d spans", n)
	}
}

// checkMessage checks the kind and the attributes of a messaging span.
func (r *reader) checkMessage(s *otlp.Span, kind otlp.Kind) {
	if s.Kind != kind {
		r.flaw(s, "has the kind %s, not %s", s.Kind, kind)
	}
	for _, key := range []string{
		"messaging.system", "messaging.operation.type", destination, messageID, conversation, eventType, Subject, eventSource,
	} {
		if s.Attribute(key) == "" {
			r.flaw(s, "lacks %s", key)
		}
	}
	if callers[s.Service] != "" && s.Service != Service(s) && s.Attribute(operation) != "publish" {
		r.flaw(s, "has the attributes of a span of %s", Service(s))
	}
}

// checkCreate checks that the event has a cause: a handler of the same service, or a request to it.
func (r *reader) checkCreate(s *otlp.Span) {
	r.checkMessage(s, otlp.Producer)
	for around := r.byID[s.Parent]; around != nil; around = r.byID[around.Parent] {
		switch {
		case around.Attribute(operation) == "process", around.Kind == otlp.Server:
			if r.serviceName(around) != Service(s) {
				r.flaw(s, "is caused by %q of %s", around.Name, r.serviceName(around))
			}
			return
		case isMessaging(around):
			r.flaw(s, "has the cause %q, which cannot create an event", around.Name)
			return
		}
	}
	r.flaw(s, "has no cause")
}

func (r *reader) checkPublish(s *otlp.Span) {
	r.checkMessage(s, otlp.Client)
	if p := r.byID[s.Parent]; p == nil || p.Attribute(operation) != "create" || p.Attribute(messageID) != s.Attribute(messageID) {
		r.flaw(s, "is not a child of the span that creates the event")
	}
}

// checkProcess checks that the parent is the span that creates the event, and that a retry links to the failed attempt before
// it.
func (r *reader) checkProcess(s *otlp.Span) {
	r.checkMessage(s, otlp.Consumer)
	if p := r.byID[s.Parent]; p == nil || p.Attribute(operation) != "create" || p.Attribute(messageID) != s.Attribute(messageID) {
		r.flaw(s, "is not a child of the span that creates the event")
	}
	if number(s) == 1 {
		return
	}
	for _, previous := range r.spans {
		if previous.Failed && sameHandler(previous, s) && number(previous) == number(s)-1 && s.LinksTo(previous) {
			return
		}
	}
	r.flaw(s, "does not link to the previous attempt")
}

// number returns the number of an attempt, from 1. An attempt that finds an external system unavailable is not counted.
func number(s *otlp.Span) int {
	n, err := strconv.Atoi(s.Attribute(attempt))
	if err != nil {
		return 1
	}
	return n
}

// sameHandler reports whether a and b are attempts of the same handler for the same event.
func sameHandler(a, b *otlp.Span) bool {
	return a != b && a.Attribute(operation) == "process" && b.Attribute(operation) == "process" &&
		a.Attribute(messageID) == b.Attribute(messageID) && Queue(a) == Queue(b)
}
