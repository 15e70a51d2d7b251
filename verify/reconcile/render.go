package reconcile

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// namedLimit is how many orders of a finding people are shown. JSON has all.
const namedLimit = 10

// WriteText writes the report for people.
func (r Report) WriteText(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Books of %s\n", r.At.Format("2006-01-02 15:04:05 MST"))
	r.writeChecked(&b)
	r.UnderWay.writeNames(&b)
	fmt.Fprintf(&b, "\n%s\n", r.verdict())
	for i, f := range r.Findings {
		if i == 0 || r.Findings[i-1].Kind != f.Kind {
			fmt.Fprintf(&b, "\n%s\n", f.Kind)
		}
		f.write(&b, "  ")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r Report) verdict() string {
	switch n := len(r.Findings); {
	case n == 1:
		return "NOT CLEAN: one finding."
	case n > 1:
		return fmt.Sprintf("NOT CLEAN: %d findings.", n)
	case r.unsettled():
		return "NOT SETTLED: nothing wrong was found, but not everything has come to its end."
	case r.Checked.empty():
		return "NOTHING could be checked."
	case len(r.NotChecked) > 0:
		return "Clean as far as it was checked, which is not everywhere."
	case !r.UnderWay.none():
		return "Clean: what is under way is in time."
	default:
		return "Clean."
	}
}

func (r Report) writeChecked(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t%s\n", what, fmt.Sprintf(format, args...))
	}

	c := r.Checked
	if c.Orders != nil {
		total := 0
		for _, n := range c.Orders {
			total += n
		}
		states := slices.Clone(orderStates)
		for _, state := range slices.Sorted(maps.Keys(c.Orders)) {
			if !slices.Contains(states, state) {
				states = append(states, state)
			}
		}
		line("orders", "%d%s", total, counts(c.Orders, states, ": "))
	}
	if c.Money != nil {
		if len(c.Money) == 0 {
			line("money", "none")
		}
		for _, currency := range slices.Sorted(maps.Keys(c.Money)) {
			till := c.Money[currency]
			line("money", "%s, in minor units: %d captured - %d refunded = %d kept", currency, till.Captured, till.Refunded, till.Kept)
		}
	}
	if s := c.Stock; s != nil {
		line("stock", "%s: %d supplied, %d on hand (%d of them reserved), %d shipped", plural(s.Products, "product"), s.Supplied, s.OnHand, s.Reserved, s.Shipped)
	}
	if c.Parcels != nil {
		total := 0
		for _, n := range c.Parcels {
			total += n
		}
		line("parcels", "%d%s", total, counts(c.Parcels, slices.Sorted(maps.Keys(c.Parcels)), ": "))
	}
	if e := c.Events; e != nil {
		line("events", "%d published, %d of %d deliveries taken", e.Published, e.Taken, e.Due)
	}
	if q := c.Queues; q != nil {
		line("queues", "%d waiting, %d to be retried, %d dead", q.Waiting, q.Retrying, q.Dead)
	}
	if u := r.UnderWay; !u.none() {
		text := plural(u.Orders, "order") + ", " + plural(u.Events, "event")
		if n := u.Count() - u.Orders - u.Events; n > 0 {
			text += ", " + plural(n, "mismatch that may be passing", "mismatches that may be passing")
		}
		line("under way", "%s", text)
	}
	for _, text := range r.NotChecked {
		line("not checked", "%s", text)
	}
	_ = w.Flush() // a strings.Builder takes everything
}

// counts lists the states that occur.
func counts(n map[string]int, states []string, before string) string {
	var parts []string
	for _, state := range states {
		if n[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[state], state))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return before + strings.Join(parts, ", ")
}

// plural counts things, with an s for many unless that is given.
func plural(n int, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprintf("%d %s", n, many[0])
	default:
		return fmt.Sprintf("%d %ss", n, one)
	}
}

// writeNames says what some of it is.
func (u UnderWay) writeNames(b *strings.Builder) {
	if len(u.Some)+len(u.Unconfirmed) > 0 {
		b.WriteString("\nunder way, for example\n")
	}
	for _, line := range u.Some {
		fmt.Fprintf(b, "  %s\n", line)
	}
	for _, f := range u.Unconfirmed {
		f.write(b, "  ")
	}
}

func (f Finding) write(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%s%s", indent, f.What)
	if len(f.Details) > 1 {
		fmt.Fprintf(b, " (%d)", len(f.Details))
	}
	b.WriteString("\n")
	for _, line := range f.Details[:min(len(f.Details), namedLimit)] {
		fmt.Fprintf(b, "%s  %s\n", indent, line)
	}
	if more := len(f.Details) - namedLimit; more > 0 {
		fmt.Fprintf(b, "%s  and %d more\n", indent, more)
	}
}
