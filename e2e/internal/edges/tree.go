package edges

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// Tree formats the messaging and HTTP spans of one trace, one per line and indented below their parents. It omits other spans,
// such as database statements. A cross marks a failed span, and an arrow a link with its reason. There are no ids and no times,
// so that two orders of the same story have the same tree, but for the order of concurrent steps.
func Tree(spans []*otlp.Span, find func(otlp.Link) *otlp.Span) string {
	r := &reader{byID: map[string]*otlp.Span{}, find: find}
	for _, s := range spans {
		r.byID[s.ID] = s
	}
	children := map[string][]*otlp.Span{}
	for _, s := range spans {
		if shown(s) {
			parent := r.byID[s.Parent]
			for parent != nil && !shown(parent) {
				parent = r.byID[parent.Parent]
			}
			above := ""
			if parent != nil {
				above = parent.ID
			}
			children[above] = append(children[above], s)
		}
	}
	var text strings.Builder
	var draw func(above string, depth int)
	draw = func(above string, depth int) {
		slices.SortStableFunc(children[above], inOrder)
		for _, s := range children[above] {
			name := s.Name
			if s.Kind == otlp.Client && !isMessaging(s) { // the name is the method only
				name = callName(s)
			}
			fmt.Fprintf(&text, "%-9s  %s%s%s\n", r.serviceName(s), strings.Repeat("  ", depth), name, r.marks(s))
			draw(s.ID, depth+1)
		}
	}
	draw("", 0)
	return text.String()
}

func shown(s *otlp.Span) bool {
	return isMessaging(s) || s.Attribute("http.request.method") != "" || len(s.Links) > 0
}

// inOrder compares siblings by time. The handlers of an event, which run concurrently, are compared by the names of their
// queues, and come after the publish span.
func inOrder(a, b *otlp.Span) int {
	queue := func(s *otlp.Span) string {
		if s.Attribute(operation) != "process" {
			return ""
		}
		return Queue(s)
	}
	if c := cmp.Compare(queue(a), queue(b)); c != 0 {
		return c
	}
	return a.Start.Compare(b.Start)
}

func (r *reader) marks(s *otlp.Span) string {
	var marks strings.Builder
	if s.Failed {
		marks.WriteString(" ✗")
	}
	for _, l := range s.Links {
		marks.WriteString(" ← " + l.Reason)
		if to := r.find(l); to == nil {
			marks.WriteString(" (not received)")
		} else if to.Kind == otlp.Server {
			marks.WriteString(" " + to.Name)
		}
	}
	return marks.String()
}
