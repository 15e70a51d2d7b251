package edges

import (
	"strconv"

	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// checkTrace wants one trace with one root, in which every span has its parent.
func (r *reader) checkTrace() {
	var (
		root      *otlp.Span
		elsewhere = map[string]int{} // spans, by the trace that they are in instead
		first     = map[string]*otlp.Span{}
	)
	for _, s := range r.spans {
		switch {
		case s.Trace != r.spans[0].Trace:
			if elsewhere[s.Trace]++; elsewhere[s.Trace] == 1 {
				first[s.Trace] = s
			}
		case s.Parent != "" && r.byID[s.Parent] == nil:
			r.flaw(s, "its parent is not there")
		case s.Parent == "" && root != nil:
			r.flaw(s, "is a second root, beside %q", root.Name)
		case s.Parent == "":
			root = s
		}
	}
	for trace, n := range elsewhere {
		r.flaw(first[trace], "begins another trace, with %d spans in it", n)
	}
}

// checkMessage wants what everybody who looks for a message needs.
func (r *reader) checkMessage(s *otlp.Span, kind otlp.Kind) {
	if s.Kind != kind {
		r.flaw(s, "is of the kind %s, not %s", s.Kind, kind)
	}
	for _, key := range []string{
		"messaging.system", "messaging.operation.type", destination, messageID, conversation, eventType, Subject, eventSource,
	} {
		if s.Attribute(key) == "" {
			r.flaw(s, "lacks %s", key)
		}
	}
	if callers[s.Service] != "" && s.Service != Service(s) && s.Attribute(operation) != "publish" {
		r.flaw(s, "says that it is of %s", Service(s))
	}
}

// checkCreate wants a cause: a reaction of the same service, or a request to it.
func (r *reader) checkCreate(s *otlp.Span) {
	r.checkMessage(s, otlp.Producer)
	for around := r.byID[s.Parent]; around != nil; around = r.byID[around.Parent] {
		switch {
		case around.Attribute(operation) == "process", around.Kind == otlp.Server:
			if r.serviceOf(around) != Service(s) {
				r.flaw(s, "is caused by %q of %s", around.Name, r.serviceOf(around))
			}
			return
		case isMessaging(around):
			r.flaw(s, "hangs on %q, which is no reason to create anything", around.Name)
			return
		}
	}
	r.flaw(s, "has no cause")
}

func (r *reader) checkPublish(s *otlp.Span) {
	r.checkMessage(s, otlp.Client)
	if p := r.byID[s.Parent]; p == nil || p.Attribute(operation) != "create" || p.Attribute(messageID) != s.Attribute(messageID) {
		r.flaw(s, "is not the child of its creation")
	}
}

// checkProcess wants the creation as the parent, and for a retry a link to the attempt that failed before it.
func (r *reader) checkProcess(s *otlp.Span) {
	r.checkMessage(s, otlp.Consumer)
	if p := r.byID[s.Parent]; p == nil || p.Attribute(operation) != "create" || p.Attribute(messageID) != s.Attribute(messageID) {
		r.flaw(s, "is not the child of the creation")
	}
	if number(s) == 1 {
		return
	}
	for _, before := range r.spans {
		if before.Failed && sameReaction(before, s) && number(before) == number(s)-1 && s.LinksTo(before) {
			return
		}
	}
	r.flaw(s, "does not link to the attempt before it")
}

// number counts the attempts that were spent on a reaction, from 1. Those that found something away spend none.
func number(s *otlp.Span) int {
	n, err := strconv.Atoi(s.Attribute(attempt))
	if err != nil {
		return 1
	}
	return n
}

// sameReaction says whether a and b are attempts of the same reaction to the same event.
func sameReaction(a, b *otlp.Span) bool {
	return a != b && a.Attribute(operation) == "process" && b.Attribute(operation) == "process" &&
		a.Attribute(messageID) == b.Attribute(messageID) && Queue(a) == Queue(b)
}
