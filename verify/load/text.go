package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
)

// namedLimit is the number of unexpected orders that the text has. JSON has all.
const namedLimit = 10

// WriteText writes the summary as text.
func (s Summary) WriteText(out io.Writer) error {
	var b strings.Builder
	s.writeFlow(&b)
	s.writeStories(&b)
	s.writeProblems(&b)
	if s.Reconciliation != nil {
		b.WriteString("\n")
		if err := s.Reconciliation.WriteText(&b); err != nil {
			return err
		}
	}
	if s.ReconciliationError != "" {
		fmt.Fprintf(&b, "\nThe reconciliation failed: %s.\n", s.ReconciliationError)
	}
	fmt.Fprintf(&b, "\n%s\n", s.conclusion())
	_, err := io.WriteString(out, b.String())
	return err
}

func (s Summary) writeFlow(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	flow := func(what string, f Flow, more string) {
		fmt.Fprintf(w, "  %s\t%s in %.1f s\t%.1f/s%s\n", what, english.Plural(f.Orders, "order", ""), f.Seconds, f.PerSecond, more)
	}
	early := ""
	if s.StoppedEarly {
		early = fmt.Sprintf(", stopped before all %d were placed", s.Requested.Orders)
	}
	flow("offered", s.Offered, early)
	flow("accepted", s.Accepted, "")
	tail := ""
	if s.Ended.Orders > 0 {
		tail = fmt.Sprintf(", the last one %s after the last was placed", human(s.Ended.TailSeconds))
	}
	flow("ended", s.Ended.Flow, tail)
	if s.Dropped > 0 {
		fmt.Fprintf(w, "  not sent\t%d\tbecause %d orders were open\n", s.Dropped, s.Requested.InFlight)
	}
	if s.Abandoned > 0 {
		fmt.Fprintf(w, "  abandoned\t%d\tthat were still open\n", s.Abandoned)
	}
	if s.Late.Orders > 0 {
		fmt.Fprintf(w, "  late\t%d\tsent at most %s after they were due; the latencies include that\n", s.Late.Orders, human(s.Late.MaxSeconds))
	}
	_ = w.Flush() // a strings.Builder returns no errors
	if s.saturated() {
		fmt.Fprintf(b, "\nThe stack did not keep up: the median until the end was %s for the first third of the orders, and %s for the last.\n",
			human(s.Ended.FirstThird), human(s.Ended.LastThird))
	}
}

// saturated reports whether orders took longer and longer. A difference of half a second is ignored.
func (s Summary) saturated() bool { return s.Ended.LastThird > 1.25*s.Ended.FirstThird+0.5 }

func (s Summary) writeStories(b *strings.Builder) {
	results := s.Stories
	if len(results) > 1 {
		results = append(slices.Clone(results), s.All)
	}
	fmt.Fprintf(b, "\n  %-14s %7s  %-35s  %s\n", "", "", "   until accepted", "   until the end")
	fmt.Fprintf(b, "  %-14s %7s", "", "orders")
	for range 2 {
		fmt.Fprintf(b, "  %8s %8s %8s %8s", "p50", "p90", "p99", "max")
	}
	b.WriteString("\n")
	for _, c := range results {
		fmt.Fprintf(b, "  %-14s %7d", c.Story, c.Orders)
		for _, l := range []Latency{c.Accepted, c.Ended} {
			fmt.Fprintf(b, "  %8s %8s %8s %8s", l.human(l.P50), l.human(l.P90), l.human(l.P99), l.human(l.Max))
		}
		b.WriteString("\n")
	}
	if s.Ended.Orders > 0 {
		fmt.Fprintf(b, "\nOrders were polled every %s.", human(s.Ended.PollInterval))
		if s.completed() {
			b.WriteString(" The end of a completed order includes the delays of the\nsimulated carrier " +
				"(CARRIER_DISPATCH_DELAY, CARRIER_DELIVERY_DELAY).")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, c := range s.Stories {
		fmt.Fprintf(w, "  %s\t%s\n", c.Story, outcomes(c.Outcomes))
	}
	_ = w.Flush()
}

func (s Summary) completed() bool {
	return slices.ContainsFunc(s.Stories, func(c StoryResult) bool { return c.Outcomes[completed] > 0 })
}

// outcomes lists the outcomes, the most frequent ones first.
func outcomes(n map[string]int) string {
	names := slices.SortedFunc(maps.Keys(n), func(a, b string) int {
		if n[a] != n[b] {
			return n[b] - n[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%d %s", n[name], name))
	}
	if parts == nil {
		return "no orders"
	}
	return strings.Join(parts, ", ")
}

func (s Summary) writeProblems(b *strings.Builder) {
	if len(s.Errors) > 0 {
		b.WriteString("\nfailed requests, repeated if that can help\n")
		for _, f := range s.Errors {
			fmt.Fprintf(b, "  %d × %s, for example %s\n", f.Count, f.Kind, f.Example)
		}
	}
	if len(s.Wrong) > 0 {
		b.WriteString("\nunexpected outcomes\n")
		for _, w := range s.Wrong[:min(len(s.Wrong), namedLimit)] {
			id := w.OrderID
			if id == "" {
				id = "an order without an id"
			}
			fmt.Fprintf(b, "  %s (%s): expected %s, found %s\n", id, w.Story, strings.Join(w.Expected, " or "), w.Found)
		}
		if more := len(s.Wrong) - namedLimit; more > 0 {
			fmt.Fprintf(b, "  and %d more\n", more)
		}
	}
	if s.Stock != "" {
		fmt.Fprintf(b, "\nunexpected stock\n  %s\n", s.Stock)
	}
}

func (s Summary) conclusion() string {
	var wrong []string
	if n := len(s.Wrong); n > 0 {
		wrong = append(wrong, english.Plural(n, "order has an unexpected outcome", "orders have unexpected outcomes"))
	}
	if s.Stock != "" {
		wrong = append(wrong, "the stock is not as expected")
	}
	if s.Reconciliation != nil && s.Reconciliation.Status() == reconcile.StatusFindings {
		wrong = append(wrong, "the reconciliation has findings")
	}
	switch {
	case len(wrong) > 0:
		text := strings.Join(wrong, ", ") + "."
		return strings.ToUpper(text[:1]) + text[1:]
	case s.Abandoned > 0:
		return "Stopped. The orders that were still open were not checked."
	case s.status() != reconcile.StatusClean:
		return "Everything that could be checked is as expected."
	case s.Reconciliation == nil:
		return "All orders ended as expected. They were not reconciled."
	default:
		return "All orders ended as expected, and the reconciliation is clean."
	}
}

// human formats one of the latencies.
func (l Latency) human(seconds float64) string {
	if l.Count == 0 {
		return "-"
	}
	return human(seconds)
}

// human formats seconds with about three digits.
func human(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	default:
		return fmt.Sprintf("%.2f s", seconds)
	}
}
