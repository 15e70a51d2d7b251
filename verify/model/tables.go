package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/quadrille-dev/quadrille/contracts"
)

// labels lists the states of each service in the order of the tables.
var labels = [4][]string{
	atOrder:     {"pending", "reserved", "paid", "shipped", "completed", "cancelling", "cancelled"},
	atInventory: {"none", "reserved", "failed", "tombstone", "released", "committed"},
	atPayment: {
		"waiting for both", "waiting for the stock", "waiting for the order",
		"charging", "charging, to be cancelled", "charged", "refunding", "refunded", "failed", "voided",
	},
	atShipping: {
		"waiting for both", "waiting for the payment", "waiting for the order",
		"booking", "booking, to be cancelled", "booked", "cancelling", "dispatched", "delivered", "failed", "cancelled",
	},
}

// detailPrefix has the text before an event's detail, for the events whose detail decides what a handler does.
var detailPrefix = map[string]string{
	contracts.OrderCancelRequested{}.EventType():  "by the ",
	contracts.ShipmentCancelRefused{}.EventType(): "because ",
}

// row is a row of a service's table: the events that have the same effect in the same states.
type row struct {
	states    []string
	on        []string
	after     string // empty if the state stays
	publishes string
}

// stateTable returns the table of inventory, payment or shipping, in Markdown. It omits what has no effect.
func stateTable(service int, seen []transition) string {
	type effect struct{ state, on, after, publishes string }
	effects := map[effect]bool{}
	for _, s := range seen {
		e := effect{s.before, s.on(), s.after, eventList(s.published)}
		if e.after == e.state {
			e.after = ""
		}
		if s.service == service && (e.after != "" || e.publishes != "") {
			effects[e] = true
		}
	}

	// First merge the states in which an event has the same effect, then the events with the same effect in these states.
	var rows []row
	for e := range effects {
		same := func(r row) bool { return r.on[0] == e.on && r.after == e.after && r.publishes == e.publishes }
		if i := slices.IndexFunc(rows, same); i >= 0 {
			rows[i].states = append(rows[i].states, e.state)
		} else {
			rows = append(rows, row{[]string{e.state}, []string{e.on}, e.after, e.publishes})
		}
	}
	byLabel := labelled(service)
	for i := range rows {
		slices.SortFunc(rows[i].states, byLabel)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(slices.CompareFunc(a.states, b.states, byLabel), byLabel(a.after, b.after),
			cmp.Compare(a.publishes, b.publishes), slices.Compare(a.on, b.on))
	})
	var merged []row
	for _, r := range rows {
		last := len(merged) - 1
		if last >= 0 && slices.Equal(merged[last].states, r.states) && merged[last].after == r.after && merged[last].publishes == r.publishes {
			merged[last].on = append(merged[last].on, r.on...)
		} else {
			merged = append(merged, r)
		}
	}

	lines := []string{"| state | on | becomes | publishes |", "|---|---|---|---|"}
	before := ""
	for _, r := range merged {
		states := stateList(r.states)
		shown := states
		if states == before {
			shown = ""
		}
		before = states
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s |",
			shown, strings.Join(anyDetail(r.on), ", "), cmp.Or(r.after, "same"), cmp.Or(r.publishes, "–")))
	}
	return strings.Join(lines, "\n")
}

func stateList(states []string) string {
	waiting := 0
	for _, s := range states {
		if strings.HasPrefix(s, "waiting for ") {
			waiting++
		}
	}
	if waiting == 3 {
		states = append([]string{"waiting"}, states[3:]...)
	}
	for i := 1; i < waiting && waiting < 3; i++ {
		states = append([]string{states[0] + " or " + strings.TrimPrefix(states[1], "waiting ")}, states[2:]...)
	}
	return strings.Join(states, " · ")
}

// anyDetail omits the detail of an event if all its details are listed.
func anyDetail(on []string) []string {
	customer, deadline := onRequest(contracts.ReasonCustomer), onRequest(contracts.ReasonDeadline)
	if i := slices.Index(on, customer); i >= 0 && slices.Contains(on, deadline) {
		on = slices.Clone(on)
		on[i] = code(contracts.OrderCancelRequested{}.EventType())
		return slices.DeleteFunc(on, func(s string) bool { return s == deadline })
	}
	return on
}

func onRequest(reason string) string {
	return event{contracts.OrderCancelRequested{}.EventType(), reason}.inTable()
}

// orderFactTable returns the table of the facts that an order observes.
func orderFactTable(seen []transition) string {
	type line struct {
		on, publishes string
		states        []string
		changes       []string
		known         []string // before every such transition
	}
	var lines []*line
	for _, s := range seen {
		if s.service != atOrder || s.input == placed {
			continue
		}
		publishes := eventList(slices.DeleteFunc(slices.Clone(s.published), entering))
		if len(s.changes) == 0 && publishes == "" {
			continue
		}
		i := slices.IndexFunc(lines, func(l *line) bool { return l.on == s.on() && l.publishes == publishes })
		if i < 0 {
			i = len(lines)
			lines = append(lines, &line{on: s.on(), publishes: publishes, known: factsOf(s.known)})
		}
		l := lines[i]
		l.known = slices.DeleteFunc(l.known, func(f string) bool { return !slices.Contains(factsOf(s.known), f) })
		l.changes = union(l.changes, s.changes)
		if s.input == customerCancels || s.input == deadline {
			l.states = sorted(atOrder, union(l.states, []string{s.before}))
		}
	}
	slices.SortFunc(lines, func(a, b *line) int {
		return cmp.Or(slices.CompareFunc(a.states, b.states, labelled(atOrder)), slices.CompareFunc(a.changes, b.changes, byFact),
			cmp.Compare(a.on, b.on), cmp.Compare(a.publishes, b.publishes))
	})
	rows := []string{"| on | given | observes | publishes |", "|---|---|---|---|"}
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		on := []string{l.on}
		given := slices.Clone(l.states)
		if slices.ContainsFunc(lines, func(o *line) bool { return o != l && o.on == l.on }) {
			given = append(given, l.known...)
		}
		for len(given) == 0 && i+1 < len(lines) && slices.Equal(lines[i+1].changes, l.changes) && lines[i+1].publishes == l.publishes {
			i++
			on = append(on, lines[i].on)
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |",
			strings.Join(on, ", "), strings.Join(given, ", "), strings.Join(l.changes, ", "), cmp.Or(l.publishes, "–")))
	}
	return strings.Join(rows, "\n")
}

// orderStateTable returns the table of the states of an order: the states before each, and what it publishes on entry.
func orderStateTable(seen []transition) string {
	rows := []string{"| state | comes after | publishes on entering |", "|---|---|---|"}
	for _, state := range labels[atOrder] {
		var before, all, some []string
		first := true
		for _, s := range seen {
			if s.service != atOrder || s.after != state || s.before == state {
				continue
			}
			before = union(before, []string{s.before})
			var published []string
			for _, e := range s.published {
				if entering(e) {
					published = append(published, e.inTable())
				}
			}
			if some = union(some, published); first {
				all = published
			}
			all = slices.DeleteFunc(slices.Clone(all), func(t string) bool { return !slices.Contains(published, t) })
			first = false
		}
		if first {
			continue // the initial state
		}
		publishes := slices.Clone(all)
		for _, t := range some {
			if !slices.Contains(all, t) {
				publishes = append(publishes, t+" unless published before")
			}
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |",
			state, strings.Join(sorted(atOrder, before), ", "), cmp.Or(strings.Join(publishes, ", "), "–")))
	}
	return strings.Join(rows, "\n")
}

// entering reports whether an event announces a state.
func entering(e event) bool {
	switch e.Type {
	case contracts.OrderConfirmed{}.EventType(), contracts.OrderCompleted{}.EventType(), contracts.OrderCancelled{}.EventType():
		return true
	default:
		return false
	}
}

func (s transition) on() string {
	if s.event.Type == "" {
		return s.input
	}
	return s.event.inTable()
}

func (e event) inTable() string {
	if strings.Contains(e.Type, " ") {
		return e.Type // a webhook
	}
	words := code(e.Type)
	if reading := detailPrefix[e.Type]; reading != "" {
		words += " " + reading + e.Detail
	}
	return words
}

func code(eventType string) string { return "`" + strings.TrimSuffix(eventType, ".v1") + "`" }

func eventList(published []event) string {
	var words []string
	for _, e := range published {
		words = append(words, e.inTable())
	}
	return strings.Join(words, ", ")
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

func sorted(service int, states []string) []string {
	return slices.SortedFunc(slices.Values(states), labelled(service))
}

// labelled returns a comparison of states by their index in labels. Unknown states come first.
func labelled(service int) func(a, b string) int {
	return func(a, b string) int {
		return cmp.Compare(slices.Index(labels[service], a), slices.Index(labels[service], b))
	}
}
