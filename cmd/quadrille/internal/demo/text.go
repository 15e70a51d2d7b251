package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/dustin/go-humanize/english"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// Text shows a demo to people, in lines that fit the terminal.
type Text struct {
	out    io.Writer
	width  int
	colour bool
	err    error
}

// NewText returns a screen that writes to out, with or without colours.
func NewText(out io.Writer, width int, colour bool) *Text {
	return &Text{out: out, width: min(max(width, narrowest), widest), colour: colour}
}

// Text is readable at any width between these.
const (
	narrowest = 40
	widest    = 120
)

// Err returns the first error of the writer.
func (t *Text) Err() error { return t.err }

// The columns of a timeline: offset, service, event and caption. Below the width wide there is no column for the service,
// which the event's name and colour show as well. Below the width middling, the caption is below the event.
const (
	offsetColumn = 9
	whoColumn    = 9
	eventColumn  = 31
	gap          = 2
	wide         = 100
	middling     = 80
)

// piece is text in one style.
type piece struct {
	text  string
	style ansi.Style
}

func plain(text string) piece { return piece{text: text} }

// print writes pieces as one line.
func (t *Text) print(pieces ...piece) {
	var b strings.Builder
	for _, p := range pieces {
		if t.colour && len(p.style) > 0 {
			b.WriteString(p.style.Styled(p.text))
		} else {
			b.WriteString(p.text)
		}
	}
	if _, err := io.WriteString(t.out, strings.TrimRight(b.String(), " ")+"\n"); t.err == nil {
		t.err = err
	}
}

// block writes text to the right of a lead, in lines that fit. It begins in the column indent.
func (t *Text) block(lead []piece, indent int, text string, style ansi.Style) {
	width := 0
	for _, p := range lead {
		width += ansi.StringWidth(p.text)
	}
	rest := plain(strings.Repeat(" ", indent-width))
	for _, line := range wrap(text, t.width-indent) {
		t.print(append(lead, rest, piece{line, style})...)
		lead, rest = nil, plain(strings.Repeat(" ", indent))
	}
}

// wrap breaks text into lines of at most width characters, at spaces if possible. It hides hyphens from ansi.Wrap, which
// would break lines at them, and then exceed the width by a character.
func wrap(text string, width int) []string {
	const nonBreaking = "\u2011"
	wrapped := ansi.Wrap(strings.ReplaceAll(text, "-", nonBreaking), width, "")
	return strings.Split(strings.ReplaceAll(wrapped, nonBreaking, "-"), "\n")
}

// paragraph writes text in lines that fit.
func (t *Text) paragraph(text string, style ansi.Style) { t.block(nil, 0, text, style) }

// beside writes text after a lead and a gap.
func (t *Text) beside(lead []piece, text string, style ansi.Style) {
	indent := gap
	for _, p := range lead {
		indent += ansi.StringWidth(p.text)
	}
	t.block(lead, indent, text, style)
}

// Styles. The terminal chooses the shades.
var (
	normal = ansi.NewStyle()
	bold   = ansi.NewStyle().Bold()
	dim    = ansi.NewStyle().Faint()
	good   = bold.ForegroundColor(ansi.Green)
	bad    = bold.ForegroundColor(ansi.Red)
	unsure = bold.ForegroundColor(ansi.Yellow)
	action = bold.ForegroundColor(ansi.Yellow)
)

func styleOf(service string) ansi.Style {
	switch service {
	case orderService:
		return normal.ForegroundColor(ansi.Blue)
	case inventoryService:
		return normal.ForegroundColor(ansi.Magenta)
	case paymentService:
		return normal.ForegroundColor(ansi.Green)
	case shippingService:
		return normal.ForegroundColor(ansi.Cyan)
	default:
		return normal
	}
}

func styleOfState(state order.State) ansi.Style {
	switch state {
	case order.Completed:
		return good
	case order.Cancelled, order.Cancelling:
		return unsure
	default:
		return bold
	}
}

// Open writes an introduction.
func (t *Text) Open(c Config) {
	t.paragraph("Quadrille: four services carry an order, and no service is in charge", bold)
	t.print()
	t.paragraph("Order, inventory, payment and shipping never call each other. Each service publishes events about what it has "+
		"done, and handles the events of the other ones. Below, every line with a time is an event, or an action of "+
		"the demo. An arrow (→) shows what the customer sees from then on.", normal)
	where := c.Stack.Order
	if c.Stack.Kill != nil {
		where = "a stack of its own at " + where
	}
	t.print()
	t.paragraph(fmt.Sprintf("Running %s on %s.", english.Plural(len(c.Stories), "story", ""), where), normal)
}

// Begin writes a headline.
func (t *Text) Begin(n, of int, s Story) {
	t.print()
	number := fmt.Sprintf("%d/%d", n, of)
	indent := len(number) + gap
	t.block([]piece{{number, bold}}, indent, s.Title, bold)
	t.block(nil, indent, s.About, normal)
	t.print()
}

// Row writes a row of the timeline.
func (t *Text) Row(_ Story, _ string, r Row, since time.Duration) {
	offset := fmt.Sprintf("%*s", offsetColumn, fmt.Sprintf("+%.3fs", since.Seconds()))
	who := ""
	if t.width >= wide {
		who = fmt.Sprintf("%-*s", gap+whoColumn, strings.Repeat(" ", gap)+r.Who)
	}
	switch r.Kind {
	case KindAction:
		what := r.What
		if who == "" {
			what = r.Who + " " + what
		}
		t.beside([]piece{{offset, dim}, {who, action}}, what, action)
	case KindState:
		blank := strings.Repeat(" ", ansi.StringWidth(offset+who))
		t.beside([]piece{plain(blank), plain("  "), {"→ " + string(r.State), styleOfState(r.State)}}, "“"+r.What+"”", normal)
	default:
		style := styleOf(r.Who)
		event := withoutVersion(r.Event)
		if t.width < middling {
			t.print(piece{offset, dim}, piece{who, style}, plain("  "), piece{event, style})
			t.block(nil, offsetColumn+gap, r.What, normal)
			return
		}
		event = fmt.Sprintf("%-*s", eventColumn, event)
		t.beside([]piece{{offset, dim}, {who, style}, plain("  "), {event, style}}, r.What, normal)
	}
}

// End writes the result of a story.
func (t *Text) End(s Story, r Result) {
	const indent = offsetColumn + gap
	if r.Skipped != "" {
		t.block([]piece{{"  -", dim}}, indent, "Skipped: "+r.Skipped+".", dim)
		return
	}
	lead, style := []piece{{"    ✓", good}}, styleOfState(r.State)
	if !r.OK {
		lead, style = []piece{{"    ✗", bad}}, bad
	}
	t.print()
	if r.State != "" {
		t.block(lead, indent, strings.Join(r.totals(), " · "), style)
		lead = nil
	}
	for _, f := range r.Failures {
		t.block(lead, indent, f, normal.ForegroundColor(ansi.Red))
		lead = nil
	}
	if r.OK {
		t.block(nil, indent, s.Takeaway, normal)
	}
}

// totals returns the traces of an order, in a few words each.
func (r Result) totals() []string {
	amount := func(n int64) string { return stackclient.Money{Amount: n, Currency: r.Currency}.String() }
	money := "nothing charged"
	switch {
	case r.Captures == 0:
	case r.Refunded == 0 && r.Captures == 1:
		money = amount(r.Captured) + " charged once"
	case r.Refunded == r.Captured && r.Captures == 1:
		money = amount(r.Captured) + " charged once and refunded"
	default:
		money = fmt.Sprintf("%s charged, %s refunded, %s kept", amount(r.Captured), amount(r.Refunded), amount(r.Captured-r.Refunded))
	}
	parcel := "parcel " + r.Parcel
	if r.Parcel == noParcel {
		parcel = "no parcel"
	}
	stock := fmt.Sprintf("%d of %d in stock", r.OnHand, r.Before)
	if r.Reserved > 0 {
		stock += fmt.Sprintf(", %d reserved", r.Reserved)
	}
	return []string{string(r.State), money, parcel, stock}
}

// Summary writes the report of the reconciliation, and the result of the demo.
func (t *Text) Summary(o Outcome) {
	t.print()
	if o.Report != nil || o.Err != nil {
		t.print(piece{"The reconciliation", bold})
		t.paragraph("It has read the audit snapshots of all four services, of the card processor and of the carrier. It has "+
			"compared them for every order above: money, parcels, stock, and whether every subscription has consumed every "+
			"event once.", normal)
		t.print()
	}
	if o.Err != nil {
		t.paragraph("It failed: "+o.Err.Error(), normal.ForegroundColor(ansi.Red))
	}
	if o.Report != nil {
		var b strings.Builder
		_ = o.Report.WriteText(&b) // a strings.Builder returns no errors
		for line := range strings.SplitSeq(strings.TrimRight(b.String(), "\n"), "\n") {
			text := strings.TrimLeft(line, " ")
			if ansi.StringWidth(line) <= t.width {
				t.print(plain(line)) // its columns stay as they are
			} else {
				t.block(nil, len(line)-len(text), text, normal)
			}
		}
		t.print()
	}
	ran := english.Plural(o.Ran, "story", "")
	text, style := ran+" ran, and everything is as expected", good
	switch {
	case o.Failed > 0:
		text, style = fmt.Sprintf("%d of %s failed", o.Failed, ran), bad
	case o.Ran == 0:
		text, style = "No story ran", dim
	case o.Status() == 1:
		text, style = ran+" ended as expected, but the reconciliation has findings", bad
	case o.Status() != 0:
		text, style = ran+" ran, and everything that could be checked is as expected", unsure
	}
	if o.Skipped > 0 {
		text += fmt.Sprintf("; %d skipped", o.Skipped)
	}
	t.paragraph(fmt.Sprintf("%s (%.1f s).", text, o.Took.Seconds()), style)
}

var _ Screen = (*Text)(nil)
