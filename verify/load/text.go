package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// namedLimit is how many orders that went wrong people are shown. JSON has all.
const namedLimit = 10

// WriteText writes the summary for people.
func (s Summary) WriteText(out io.Writer) error {
	var b strings.Builder
	s.writeFlow(&b)
	s.writeStories(&b)
	s.writeTrouble(&b)
	if s.Ledger != nil {
		b.WriteString("\n")
		if err := s.Ledger.WriteText(&b); err != nil {
			return err
		}
	}
	if s.LedgerError != "" {
		fmt.Fprintf(&b, "\nThe ledger could not be asked: %s.\n", s.LedgerError)
	}
	fmt.Fprintf(&b, "\n%s\n", s.verdict())
	_, err := io.WriteString(out, b.String())
	return err
}

func (s Summary) writeFlow(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	flow := func(what string, f Flow, more string) {
		fmt.Fprintf(w, "  %s\t%s in %.1f s\t%.1f/s%s\n", what, plural(f.Orders, "order", "orders"), f.Seconds, f.PerSecond, more)
	}
	early := ""
	if s.EndedEarly {
		early = fmt.Sprintf(", stopped before all %d had come", s.Asked.Orders)
	}
	flow("offered", s.Offered, early)
	flow("accepted", s.Accepted, "")
	tail := ""
	if s.Ended.Orders > 0 {
		tail = fmt.Sprintf(", the last one %s after the last customer", human(s.Ended.TailSeconds))
	}
	flow("ended", s.Ended.Flow, tail)
	if s.Dropped > 0 {
		fmt.Fprintf(w, "  turned away\t%d\tbecause %d orders were open\n", s.Dropped, s.Asked.InFlight)
	}
	if s.Abandoned > 0 {
		fmt.Fprintf(w, "  abandoned\t%d\tthat were still open\n", s.Abandoned)
	}
	if s.Late.Orders > 0 {
		fmt.Fprintf(w, "  late\t%d\tsent after their time, by %s at most, which is part of the times below\n", s.Late.Orders, human(s.Late.MaxSeconds))
	}
	_ = w.Flush() // a strings.Builder takes everything
	if s.fellBehind() {
		fmt.Fprintf(b, "\nThe shop did not keep up: half of those who came first waited %s for the end, half of those who came last %s.\n",
			human(s.Ended.FirstThird), human(s.Ended.LastThird))
	}
}

// fellBehind says whether orders took longer and longer. Half a second is nothing.
func (s Summary) fellBehind() bool { return s.Ended.LastThird > 1.25*s.Ended.FirstThird+0.5 }

func (s Summary) writeStories(b *strings.Builder) {
	chapters := s.Stories
	if len(chapters) > 1 {
		chapters = append(slices.Clone(chapters), s.All)
	}
	fmt.Fprintf(b, "\n  %-14s %7s  %-35s  %s\n", "", "", "   until accepted", "   until the end")
	fmt.Fprintf(b, "  %-14s %7s", "", "orders")
	for range 2 {
		fmt.Fprintf(b, "  %8s %8s %8s %8s", "p50", "p90", "p99", "max")
	}
	b.WriteString("\n")
	for _, c := range chapters {
		fmt.Fprintf(b, "  %-14s %7d", c.Story, c.Orders)
		for _, l := range []Latency{c.Accepted, c.Ended} {
			fmt.Fprintf(b, "  %8s %8s %8s %8s", l.human(l.P50), l.human(l.P90), l.human(l.P99), l.human(l.Max))
		}
		b.WriteString("\n")
	}
	if s.Ended.Orders > 0 {
		fmt.Fprintf(b, "\nThe end of an order was looked for every %s.", human(s.Ended.SeenEvery))
		if s.completed() {
			b.WriteString(" That of a completed one comes after the carrier has fetched\nand delivered the parcel, for " +
				"which its simulator takes time (CARRIER_DISPATCH_DELAY, CARRIER_DELIVERY_DELAY).")
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
	return slices.ContainsFunc(s.Stories, func(c Chapter) bool { return c.Outcomes[stackclient.Completed] > 0 })
}

// outcomes are the most frequent ones first.
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
		return "nobody"
	}
	return strings.Join(parts, ", ")
}

func (s Summary) writeTrouble(b *strings.Builder) {
	if len(s.Errors) > 0 {
		b.WriteString("\nfailed requests, which were repeated where that helps\n")
		for _, f := range s.Errors {
			fmt.Fprintf(b, "  %d × %s, for example %s\n", f.Count, f.Kind, f.Example)
		}
	}
	if len(s.Wrong) > 0 {
		b.WriteString("\nnot as expected\n")
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
	if s.Shelf != "" {
		fmt.Fprintf(b, "\nnot as expected on the shelf\n  %s\n", s.Shelf)
	}
}

func (s Summary) verdict() string {
	var wrong []string
	if n := len(s.Wrong); n > 0 {
		wrong = append(wrong, plural(n, "order is", "orders are")+" not as expected")
	}
	if s.Shelf != "" {
		wrong = append(wrong, "the shelf is not as expected")
	}
	if s.Ledger != nil && s.Ledger.Status() == reconcile.StatusFindings {
		wrong = append(wrong, "the books are off")
	}
	switch {
	case len(wrong) > 0:
		text := strings.Join(wrong, ", ") + "."
		return strings.ToUpper(text[:1]) + text[1:]
	case s.Abandoned > 0:
		return "Stopped; what became of the orders that were still open, nobody has looked."
	case s.status() != reconcile.StatusClean:
		return "As expected, as far as it could be checked."
	case s.Ledger == nil:
		return "All orders ended as expected; the ledger was not asked."
	default:
		return "All orders ended as expected, and the books are clean."
	}
}

// human is one of the latencies for people.
func (l Latency) human(seconds float64) string {
	if l.Count == 0 {
		return "-"
	}
	return human(seconds)
}

// human is a time in seconds for people.
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

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
