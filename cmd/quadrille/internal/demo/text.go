package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// Text shows a demo to people: lines that are never wider than the screen.
type Text struct {
	out    io.Writer
	width  int
	colour bool
	err    error
}

// NewText writes to out, in colours of the terminal's own if wanted.
func NewText(out io.Writer, width int, colour bool) *Text {
	return &Text{out: out, width: min(max(width, narrowest), widest), colour: colour}
}

// Text of any width is readable between these.
const (
	narrowest = 40
	widest    = 120
)

// Err is the first error of the writer.
func (t *Text) Err() error { return t.err }

// The columns of a timeline: offset, who, event and words. A narrower screen has no who, which the event's name and
// colour tell as well; a narrow one has the words below the event.
const (
	offsetColumn = 9
	whoColumn    = 9
	eventColumn  = 28
	gap          = 2
	wide         = 100
	middling     = 80
)

// piece is text of one colour.
type piece struct{ text, colour string }

func plain(text string) piece { return piece{text: text} }

// print writes pieces as one line.
func (t *Text) print(pieces ...piece) {
	var b strings.Builder
	for _, p := range pieces {
		if t.colour && p.colour != "" {
			b.WriteString("\x1b[" + p.colour + "m" + p.text + "\x1b[0m")
		} else {
			b.WriteString(p.text)
		}
	}
	if _, err := io.WriteString(t.out, strings.TrimRight(b.String(), " ")+"\n"); t.err == nil {
		t.err = err
	}
}

// paragraph writes text below and beside a lead, in lines that fit.
func (t *Text) paragraph(lead piece, indent int, text, colour string) {
	rest := strings.Repeat(" ", indent-utf8.RuneCountInString(lead.text))
	for _, line := range wrap(text, t.width-indent) {
		t.print(lead, plain(rest), piece{line, colour})
		lead, rest = piece{}, strings.Repeat(" ", indent)
	}
}

// Colours, as every terminal has them in its own shades.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
	purple = "35"
	cyan   = "36"
	act    = "1;33"
)

func colourOf(who string) string {
	switch who {
	case order:
		return blue
	case inventory:
		return purple
	case payment:
		return green
	case shipping:
		return cyan
	default:
		return ""
	}
}

func colourOfState(state string) string {
	switch state {
	case completed:
		return "1;" + green
	case cancelled, cancelling:
		return "1;" + yellow
	default:
		return bold
	}
}

// Open says what this is.
func (t *Text) Open(c Config) {
	t.paragraph(piece{}, 0, "Quadrille: four services, and nobody calls the figures", bold)
	t.print()
	t.paragraph(piece{}, 0, "Order, inventory, payment and shipping never call each other. Each tells what has happened, as an "+
		"event; the others hear of it and do their part. Below, every line with a time is one event, or something that was done "+
		"to the shop; → is what the customer sees from there on.", "")
	where := c.Shop.Order
	if c.Shop.Kill != nil {
		where = "a shop of its own at " + where
	}
	t.print()
	t.paragraph(piece{}, 0, plural(len(c.Stories), "story", "stories")+", played on "+where+".", "")
}

// Begin writes a headline.
func (t *Text) Begin(n, of int, s Story) {
	t.print()
	number := fmt.Sprintf("%d/%d", n, of)
	t.paragraph(piece{number, bold}, len(number)+gap, s.Title, bold)
	t.paragraph(piece{}, len(number)+gap, s.About, "")
	t.print()
}

// Row writes a line of the timeline.
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
		t.beside([]piece{{offset, dim}, {who, act}}, what, act)
	case KindState:
		blank := strings.Repeat(" ", utf8.RuneCountInString(offset+who))
		t.beside([]piece{plain(blank), plain("  "), {"→ " + r.State, colourOfState(r.State)}}, "“"+r.What+"”", "")
	default:
		colour := colourOf(r.Who)
		lead := []piece{{offset, dim}, {who, colour}, plain("  "), {bare(r.Event), colour}}
		if t.width < middling {
			t.print(lead...)
			t.paragraph(piece{}, offsetColumn+gap, r.What, "")
			return
		}
		lead[3].text = fmt.Sprintf("%-*s", eventColumn, lead[3].text)
		t.beside(lead, r.What, "")
	}
}

// beside writes words to the right of the lead.
func (t *Text) beside(lead []piece, words, colour string) {
	indent := gap
	for _, p := range lead {
		indent += utf8.RuneCountInString(p.text)
	}
	for _, line := range wrap(words, t.width-indent) {
		t.print(append(lead, plain("  "), piece{line, colour})...)
		lead = []piece{plain(strings.Repeat(" ", indent-gap))}
	}
}

// End writes how the story ended.
func (t *Text) End(s Story, r Result) {
	if r.Skipped != "" {
		t.paragraph(piece{"  -", dim}, offsetColumn+gap, "Left out: "+r.Skipped+".", dim)
		return
	}
	mark, colour := piece{"    ✓", "1;" + green}, colourOfState(r.State)
	if !r.OK {
		mark, colour = piece{"    ✗", "1;" + red}, "1;"+red
	}
	t.print()
	if r.State != "" {
		t.paragraph(mark, offsetColumn+gap, strings.Join(r.sums(), " · "), colour)
		mark = piece{}
	}
	for _, f := range r.Failures {
		t.paragraph(mark, offsetColumn+gap, f, red)
		mark = piece{}
	}
	if r.OK {
		t.paragraph(piece{}, offsetColumn+gap, s.Moral, "")
	}
}

// sums are what the order has left behind, in a few words each.
func (r Result) sums() []string {
	amount := func(n int64) string { return stackclient.Money{Amount: n, Currency: r.Currency}.String() }
	paid := "nothing charged"
	switch {
	case r.Captures == 0:
	case r.Refunded == 0 && r.Captures == 1:
		paid = amount(r.Captured) + " charged once"
	case r.Refunded == r.Captured && r.Captures == 1:
		paid = amount(r.Captured) + " charged once, all of it given back"
	default:
		paid = fmt.Sprintf("%s charged, %s given back, %s kept", amount(r.Captured), amount(r.Refunded), amount(r.Captured-r.Refunded))
	}
	parcel := "parcel " + r.Parcel
	if r.Parcel == noParcel {
		parcel = "no parcel"
	}
	shelf := fmt.Sprintf("%d of %d on the shelf", r.OnHand, r.Before)
	if r.Held > 0 {
		shelf += fmt.Sprintf(", %d set aside", r.Held)
	}
	return []string{r.State, paid, parcel, shelf}
}

// Verdict writes what the ledger says, and a last line.
func (t *Text) Verdict(o Outcome) {
	t.print()
	if o.Report != nil || o.Err != nil {
		t.print(piece{"The ledger", bold})
		t.paragraph(piece{}, 0, "An accountant from outside has read the books of all four services, of the card processor and of the "+
			"carrier, and compared them for every order above: money, parcels, stock, and whether every event was taken by "+
			"everybody it was for, once.", "")
		t.print()
	}
	if o.Err != nil {
		t.paragraph(piece{}, 0, "It could not: "+o.Err.Error(), red)
	}
	if o.Report != nil {
		var b strings.Builder
		_ = o.Report.WriteText(&b) // a strings.Builder takes everything
		for line := range strings.Lines(b.String()) {
			line = strings.TrimRight(line, "\n")
			if utf8.RuneCountInString(line) <= t.width {
				t.print(plain(line))
				continue
			}
			indent := indentOf(line)
			t.paragraph(plain(indent), len(indent), line[len(indent):], "")
		}
		t.print()
	}
	colour, text := "1;"+green, plural(o.Played, "story", "stories")+" played, and everything is as it should be"
	switch {
	case o.Failed > 0:
		colour, text = "1;"+red, fmt.Sprintf("%d of %s went wrong", o.Failed, plural(o.Played, "story", "stories"))
	case o.Played == 0:
		colour, text = dim, "nothing was played"
	case o.Status() == 1:
		colour, text = "1;"+red, "the stories ended as they should, but the books do not add up"
	case o.Status() != 0:
		colour, text = "1;"+yellow, "as it should be, as far as the ledger could see"
	}
	if o.Skipped > 0 {
		text += fmt.Sprintf("; %d left out", o.Skipped)
	}
	t.paragraph(piece{}, 0, fmt.Sprintf("%s (%.1f s).", upper(text), o.Took.Seconds()), colour)
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// wrap breaks text into lines of at most width characters, at spaces where there are any.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		for utf8.RuneCountInString(word) > width { // an id, a URL
			if line != "" {
				lines, line = append(lines, line), ""
			}
			runes := []rune(word)
			lines, word = append(lines, string(runes[:width])), string(runes[width:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" || lines == nil {
		lines = append(lines, line)
	}
	return lines
}

func indentOf(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " "))] }

var _ Screen = (*Text)(nil)
