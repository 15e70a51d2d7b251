package reconcile

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize/english"
)

// namedLimit is the number of orders that the text has for each finding. JSON has all.
const namedLimit = 10

// WriteText writes the report as text.
func (r Report) WriteText(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Audit snapshots of %s\n", r.At.Format("2006-01-02 15:04:05 MST"))
	r.writeChecked(&b)
	r.UnderWay.writeNames(&b)
	fmt.Fprintf(&b, "\n%s\n", r.conclusion())
	for i, f := range r.Findings {
		if i == 0 || r.Findings[i-1].Kind != f.Kind {
			fmt.Fprintf(&b, "\n%s\n", f.Kind)
		}
		f.write(&b, "  ")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r Report) conclusion() string {
	switch n := len(r.Findings); {
	case n == 1:
		return "NOT CLEAN: one finding."
	case n > 1:
		return fmt.Sprintf("NOT CLEAN: %d findings.", n)
	case r.unsettled():
		return "NOT SETTLED: there are no findings, but something is still under way."
	case r.Checked.empty():
		return "NOT CHECKED: no source could be read."
	case len(r.NotChecked) > 0:
		return "Clean, but not everything could be checked."
	case !r.UnderWay.none():
		return "Clean. What is under way is not overdue."
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
		states := orderStates
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
			sum := c.Money[currency]
			line("money", "%s, in minor units: %d captured - %d refunded = %d kept", currency, sum.Captured, sum.Refunded, sum.Kept)
		}
	}
	if s := c.Stock; s != nil {
		line("stock", "%s: %d received, %d on hand (%d reserved), %d shipped", english.Plural(s.Products, "product", ""), s.Received, s.OnHand, s.Reserved, s.Shipped)
	}
	if c.Parcels != nil {
		total := 0
		for _, n := range c.Parcels {
			total += n
		}
		line("parcels", "%d%s", total, counts(c.Parcels, slices.Sorted(maps.Keys(c.Parcels)), ": "))
	}
	if e := c.Events; e != nil {
		line("events", "%d published, %d of %d deliveries consumed", e.Published, e.Consumed, e.Due)
	}
	if q := c.Queues; q != nil {
		line("queues", "%d waiting, %d in retry queues, %d dead-lettered", q.Waiting, q.Retrying, q.DeadLettered)
	}
	if u := r.UnderWay; !u.none() {
		text := english.Plural(u.Orders, "order", "") + ", " + english.Plural(u.Events, "event", "")
		if n := u.Count() - u.Orders - u.Events; n > 0 {
			text += ", " + english.Plural(n, "unconfirmed mismatch", "")
		}
		line("under way", "%s", text)
	}
	for _, text := range r.NotChecked {
		line("not checked", "%s", text)
	}
	_ = w.Flush() // a strings.Builder returns no errors
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

// writeNames writes examples of what is under way.
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
