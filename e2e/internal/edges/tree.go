package edges

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// Tree draws messaging and HTTP spans of one trace, a line each, below their parents; others, such as database
// statements, are left out. A cross marks what failed, an arrow a link, with its reason. There are neither ids nor times in
// it, so that two orders of one story look the same, unless two services were faster in turn.
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
			if s.Kind == otlp.Client && !isMessaging(s) { // the name is the method's alone
				name = callOf(s)
			}
			fmt.Fprintf(&text, "%-9s  %s%s%s\n", r.serviceOf(s), strings.Repeat("  ", depth), name, r.marks(s))
			draw(s.ID, depth+1)
		}
	}
	draw("", 0)
	return text.String()
}

func shown(s *otlp.Span) bool {
	return isMessaging(s) || s.Attribute("http.request.method") != "" || len(s.Links) > 0
}

// inOrder sorts siblings by time, except that the reactions to an event, which happen at once, come in the order of
// their queues, after its publication.
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
			marks.WriteString(", which was not received")
		} else if to.Kind == otlp.Server {
			marks.WriteString(" " + to.Name)
		}
	}
	return marks.String()
}
