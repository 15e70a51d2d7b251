package demo

import (
	"encoding/json"
	"io"
	"time"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
)

// JSON shows a demo to programs: one object per line, each with a type.
type JSON struct {
	out *json.Encoder
	err error
}

// NewJSON returns a screen that writes to out.
func NewJSON(out io.Writer) *JSON {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return &JSON{out: encoder}
}

// Err returns the first error of the writer.
func (j *JSON) Err() error { return j.err }

func (j *JSON) line(v any) {
	if err := j.out.Encode(v); j.err == nil {
		j.err = err
	}
}

type (
	storyLine struct {
		Type  string `json:"type"` // story
		Story string `json:"story"`
		Title string `json:"title"`
		About string `json:"about"`
	}
	rowLine struct {
		Type    string       `json:"type"` // event, state or action
		Story   string       `json:"story"`
		OrderID string       `json:"orderId,omitempty"`
		At      time.Time    `json:"at"`
		Offset  float64      `json:"offset"` // seconds since the story's first line
		Who     string       `json:"who"`
		Event   string       `json:"event,omitempty"`
		State   order.State  `json:"state,omitempty"`
		Reason  order.Reason `json:"reason,omitempty"`
		What    string       `json:"what"`
	}
	resultLine struct {
		Type     string       `json:"type"` // result
		Story    string       `json:"story"`
		OK       bool         `json:"ok"`
		Skipped  string       `json:"skipped,omitempty"`
		Failures []string     `json:"failures"`
		Seconds  float64      `json:"seconds"`
		OrderID  string       `json:"orderId,omitempty"`
		State    order.State  `json:"state,omitempty"`
		Reason   order.Reason `json:"reason,omitempty"`
		Message  string       `json:"message,omitempty"`
		Money    *moneyLine   `json:"money,omitempty"`
		Parcel   string       `json:"parcel,omitempty"`
		Stock    *stockLine   `json:"stock,omitempty"`
	}
	moneyLine struct {
		Currency string `json:"currency"`
		Captures int    `json:"captures"`
		Captured int64  `json:"captured"` // minor units
		Refunded int64  `json:"refunded"`
		Kept     int64  `json:"kept"`
	}
	stockLine struct {
		SKU      string `json:"sku"`
		Before   int    `json:"before"`
		OnHand   int    `json:"onHand"`
		Reserved int    `json:"reserved"`
	}
	reconciliationLine struct {
		Type    string            `json:"type"` // reconciliation
		Stories storiesLine       `json:"stories"`
		Seconds float64           `json:"seconds"`
		Status  int               `json:"status"` // the exit status
		Report  *reconcile.Report `json:"report,omitempty"`
		Error   string            `json:"error,omitempty"` // why there is no report
	}
	storiesLine struct {
		Ran     int `json:"ran"`
		Skipped int `json:"skipped"`
		Failed  int `json:"failed"`
	}
)

// Open writes nothing.
func (j *JSON) Open(Config) {}

// Begin writes a story.
func (j *JSON) Begin(_, _ int, s Story) { j.line(storyLine{"story", s.Name, s.Title, s.About}) }

// Row writes an event, a state or an action.
func (j *JSON) Row(s Story, orderID string, r Row, since time.Duration) {
	j.line(rowLine{
		Type: string(r.Kind), Story: s.Name, OrderID: orderID, At: r.At.UTC(), Offset: seconds(since), Who: r.Who,
		Event: r.Event, State: r.State, Reason: r.Reason, What: r.What,
	})
}

// End writes a result.
func (j *JSON) End(s Story, r Result) {
	l := resultLine{
		Type: "result", Story: s.Name, OK: r.OK, Skipped: r.Skipped, Failures: append([]string{}, r.Failures...),
		Seconds: seconds(r.Took), OrderID: r.OrderID, State: r.State, Reason: r.Reason, Message: r.Message, Parcel: r.Parcel,
	}
	if r.State != "" {
		l.Money = &moneyLine{r.Currency, r.Captures, r.Captured, r.Refunded, r.Captured - r.Refunded}
		l.Stock = &stockLine{r.SKU, r.Before, r.OnHand, r.Reserved}
	}
	j.line(l)
}

// Summary writes the report of the reconciliation.
func (j *JSON) Summary(o Outcome) {
	l := reconciliationLine{
		Type: "reconciliation", Stories: storiesLine{o.Ran, o.Skipped, o.Failed}, Seconds: seconds(o.Took), Status: o.Status(),
		Report: o.Report,
	}
	if o.Err != nil {
		l.Error = o.Err.Error()
	}
	j.line(l)
}

// seconds rounds to milliseconds.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

var _ Screen = (*JSON)(nil)
