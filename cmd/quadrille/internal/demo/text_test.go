package demo

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

var update = flag.Bool("update", false, "write the golden files")

// showAll makes a screen show every kind of output.
func showAll(screen Screen) {
	at := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	row := func(s Story, after time.Duration, r Row) {
		r.At = at.Add(after)
		screen.Row(s, "01a1fd29-3558-7c6e-9644-84f99a2b8dde", r, after)
	}
	screen.Open(Config{Stack: Stack{Stack: stackclient.Stack{Order: "http://127.0.0.1:8081"}}, Stories: Stories[:3]})

	well := Story{Name: "well", Title: "All goes well", About: "A customer orders two pairs of shoes.", Takeaway: "There is no change without its event."}
	screen.Begin(1, 3, well)
	row(well, 0, Row{Kind: KindAction, Who: "customer", What: "orders 2 × dance shoes and 1 × a thing with a name that is so long that it does not fit on any line at all"})
	row(well, 11*time.Millisecond, Row{Kind: KindEvent, Who: orderService, Event: "order.created.v1", What: captions["order.created"]})
	row(well, 11*time.Millisecond, Row{Kind: KindState, Who: orderService, State: order.Pending, What: "We are checking that everything you ordered is in stock."})
	row(well, 20*time.Millisecond, Row{Kind: KindEvent, Who: inventoryService, Event: "inventory.reservation_failed.v1", What: captions["inventory.reservation_failed"]})
	row(well, 1350*time.Millisecond, Row{Kind: KindEvent, Who: paymentService, Event: "payment.processed.v1", What: "39.98 EUR charged to the card"})
	row(well, 12345*time.Millisecond, Row{Kind: KindEvent, Who: shippingService, Event: "shipment.delivered.v1", What: captions["shipment.delivered"]})
	row(well, 12345*time.Millisecond, Row{Kind: KindState, Who: orderService, State: order.Completed, What: "Your parcel was delivered."})
	screen.End(well, Result{
		OK: true, Took: 12400 * time.Millisecond, OrderID: "01a1fd29-3558-7c6e-9644-84f99a2b8dde", State: order.Completed,
		Message: "Your parcel was delivered.", Total: 3998, Currency: "EUR", Captures: 1, Captured: 3998, Parcel: "delivered",
		SKU: "dance-shoes-1", Before: 5, OnHand: 3,
	})

	badly := Story{Name: "badly", Title: "It goes wrong", About: "It should not.", Takeaway: "None."}
	screen.Begin(2, 3, badly)
	row(badly, 5*time.Millisecond, Row{Kind: KindState, Who: orderService, State: order.Cancelling, Reason: order.ByCustomer, What: "You asked to cancel."})
	screen.End(badly, Result{
		Failures: []string{"charges at the card processor: expected 1, found 2", "waited 30s for the end of the order: " + strings.Repeat("x", 150)},
		Took:     time.Second, OrderID: "2", State: order.Cancelled, Reason: order.ByCustomer, Message: "Cancelled.", Total: 1999, Currency: "EUR",
		Captures: 2, Captured: 3998, Refunded: 1999, Parcel: noParcel, SKU: "hat-1", Before: 2, OnHand: 2, Reserved: 1,
	})

	left := Story{Name: "left", Title: "Not here", About: "It needs more.", Kills: true}
	screen.Begin(3, 3, left)
	screen.End(left, Result{Skipped: "the demo cannot kill this stack"})

	screen.Summary(Outcome{Ran: 2, Skipped: 1, Failed: 1, Took: 13500 * time.Millisecond, Report: &reconcile.Report{
		At: at.Add(14 * time.Second),
		Checked: reconcile.Checked{
			Orders: map[string]int{"completed": 1, "cancelled": 1}, Money: map[string]reconcile.MoneySum{"EUR": {Captured: 7996, Refunded: 1999, Kept: 5997}},
			Parcels: map[string]int{"delivered": 1}, Events: &reconcile.Deliveries{Published: 17, Due: 23, Consumed: 23},
		},
		Findings: []reconcile.Finding{{
			Kind: reconcile.Money, Rule: "once", What: "an order was charged more than once", Orders: []string{"2"}, SKUs: []string{},
			Details: []string{"2: 3998 EUR captured in two charges"},
		}},
		UnderWay: reconcile.UnderWay{Unconfirmed: []reconcile.Finding{}, Some: []string{}}, NotChecked: []string{},
	}})
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A checkout on Windows may have other line ends.
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); use -update if that is intended:\n%s", path, diff)
	}
}

func TestText_Golden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		width  int
		colour bool
	}{{60, false}, {80, false}, {120, false}, {100, true}} {
		name := fmt.Sprintf("text-%d", c.width)
		if c.colour {
			name += "-colour"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			screen := NewText(&out, c.width, c.colour)
			showAll(screen)
			if screen.Err() != nil {
				t.Fatal(screen.Err())
			}
			golden(t, name+".golden", out.Bytes())
		})
	}
}

func TestText_Width(t *testing.T) {
	t.Parallel()
	for width := narrowest; width <= widest; width++ {
		var out bytes.Buffer
		showAll(NewText(&out, width, false))
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("%d characters on a screen of %d: %q", n, width, line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' }) {
				t.Errorf("control characters: %q", line)
			}
		}
	}
}

func TestCaptions_FitLine(t *testing.T) {
	t.Parallel()
	for event, words := range captions {
		words = strings.ReplaceAll(words, "%s", "1000.00 EUR")
		if room := wide - offsetColumn - gap - whoColumn - gap - eventColumn - gap; utf8.RuneCountInString(words) > room {
			t.Errorf("%s: %q is longer than %d", event, words, room)
		}
		if utf8.RuneCountInString(event) > eventColumn {
			t.Errorf("%s is longer than its column", event)
		}
	}
}

func TestJSON_Golden(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	screen := NewJSON(&out)
	showAll(screen)
	if screen.Err() != nil {
		t.Fatal(screen.Err())
	}
	golden(t, "json.golden", out.Bytes())
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestScreens_Err(t *testing.T) {
	t.Parallel()
	text, lines := NewText(brokenPipe{}, 80, false), NewJSON(brokenPipe{})
	showAll(text)
	showAll(lines)
	if text.Err() == nil || lines.Err() == nil {
		t.Errorf("text: %v, JSON: %v", text.Err(), lines.Err())
	}
}
