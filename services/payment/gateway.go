package payment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Gateway is the way to the card processor, through the official Stripe client. Its errors are verdicts for a
// reaction: events.Unavailable if the processor cannot be reached, events.Permanent if it will never take the
// request, any other if trying again may help. They carry neither card data nor keys. What the processor says about
// a card is no error but an Intent. It is safe for concurrent use; a call blocks for the client's time-out at most.
type Gateway struct {
	stripe    *stripe.Client
	transport *http.Transport
}

// NewGateway talks to the processor at address, https://api.stripe.com or a compatible one. Each call takes timeout at
// most. It repeats nothing by itself: a reaction that failed is delivered again.
func NewGateway(address, key string, timeout time.Duration) *Gateway {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	transport.DialContext = (&net.Dialer{Timeout: timeout / 2}).DialContext // so that "not reached" shows as such
	client := &http.Client{Timeout: timeout, Transport: otelhttp.NewTransport(onceTransport{transport})}
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL:               stripe.String(address),
		HTTPClient:        client,
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return &Gateway{stripe: stripe.NewClient(key, stripe.WithBackends(backends)), transport: transport}
}

// onceTransport sends a request once, and takes a page that something in between answers, for a processor it
// cannot reach, for what it is.
type onceTransport struct{ *http.Transport }

func (t onceTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	once := *r
	once.GetBody = nil // else a request with an idempotency key is sent again when its connection breaks
	answer, err := t.Transport.RoundTrip(&once)
	if err != nil || answer.StatusCode < http.StatusBadGateway || strings.Contains(answer.Header.Get("Content-Type"), "json") {
		return answer, err
	}
	answer.Body.Close()
	return nil, events.Unavailable(fmt.Errorf("status %d from in between", answer.StatusCode))
}

// Close lets idle connections go.
func (g *Gateway) Close() { g.transport.CloseIdleConnections() }

// Intent is a payment intent as far as it matters here.
type Intent struct {
	ID     string
	Status IntentStatus
	Code   string // why it was refused
}

// IntentStatus is what has become of an intent.
type IntentStatus int

// An intent is open until it is either captured or refused, and then stays so.
const (
	IntentOpen IntentStatus = iota
	IntentCaptured
	IntentRefused
)

// errKeySpent says that the processor answers an idempotency key with a failure that it saved, or with a success that
// did not last, and will go on doing so.
var errKeySpent = errors.New("the idempotency key is spent")

// Create makes an intent. It captures nothing before Confirm.
func (g *Gateway) Create(ctx context.Context, key, orderID string, amount Money, method string) (Intent, error) {
	params := &stripe.PaymentIntentCreateParams{
		Amount:        stripe.Int64(amount.Amount),
		Currency:      stripe.String(strings.ToLower(amount.Currency)),
		PaymentMethod: stripe.String(method),
		AutomaticPaymentMethods: &stripe.PaymentIntentCreateAutomaticPaymentMethodsParams{
			Enabled:        stripe.Bool(true),
			AllowRedirects: stripe.String("never"), // nobody is there to be redirected
		},
		Metadata: map[string]string{"order_id": orderID},
	}
	params.SetIdempotencyKey(key)
	created, err := g.stripe.V1PaymentIntents.Create(ctx, params)
	if code, refused := refusal(err); refused {
		return Intent{Status: IntentRefused, Code: code}, nil
	}
	if err != nil {
		return Intent{}, verdict("create intent", err)
	}
	return g.settle(ctx, created)
}

// Read asks what has become of an intent.
func (g *Gateway) Read(ctx context.Context, id string) (Intent, error) {
	read, err := g.stripe.V1PaymentIntents.Retrieve(ctx, id, nil)
	if err != nil {
		return Intent{}, verdict("read intent", err)
	}
	return g.settle(ctx, read)
}

// Confirm asks for the money and answers what has become of the intent. Any answer but a plain yes, and none at
// all, leaves that open: then the intent itself is read, and only what it says counts. If the request was refused and
// left the intent as it was, the intent is cancelled, so that nobody can confirm it later.
func (g *Gateway) Confirm(ctx context.Context, key, id string) (Intent, error) {
	params := &stripe.PaymentIntentConfirmParams{}
	params.SetIdempotencyKey(key)
	confirmed, err := g.stripe.V1PaymentIntents.Confirm(ctx, id, params)
	if err == nil {
		return g.settle(ctx, confirmed)
	}
	failed := verdict("confirm intent", err)
	read, readErr := g.Read(ctx, id)
	if readErr != nil {
		return Intent{}, fmt.Errorf("%w (after: %v)", readErr, failed)
	}
	if read.Status != IntentOpen {
		return read, nil
	}
	code, refused := refusal(err)
	if !refused {
		return read, failed
	}
	if err := g.cancel(ctx, id); err != nil {
		return read, err
	}
	return Intent{ID: id, Status: IntentRefused, Code: code}, nil
}

// Refund gives back what is left of an intent, and returns once amount, in minor units, has been given back in all.
// As with Confirm, only what is read counts: a refund that was made may have failed since, and a key may answer with
// one that did.
func (g *Gateway) Refund(ctx context.Context, key, id string, amount int64) error {
	given, err := g.refunded(ctx, id)
	if err != nil || given >= amount {
		return err
	}
	params := &stripe.RefundCreateParams{PaymentIntent: stripe.String(id)}
	params.SetIdempotencyKey(key)
	made, err := g.stripe.V1Refunds.Create(ctx, params)
	var failed error
	if err != nil {
		failed = verdict("refund", err)
	} else {
		failed = fmt.Errorf("processor: refund %s is %s: %w", made.ID, made.Status, errKeySpent)
	}
	given, err = g.refunded(ctx, id)
	if err != nil {
		return fmt.Errorf("%w (after: %v)", err, failed)
	}
	if given < amount {
		return failed
	}
	return nil
}

// refunded sums what has been given back. A refund that is pending is the processor's promise, and counts.
func (g *Gateway) refunded(ctx context.Context, id string) (int64, error) {
	var sum int64
	for refund, err := range g.stripe.V1Refunds.List(ctx, &stripe.RefundListParams{PaymentIntent: stripe.String(id)}).All(ctx) {
		if err != nil {
			return 0, verdict("list refunds", err)
		}
		if refund.Status == stripe.RefundStatusSucceeded || refund.Status == stripe.RefundStatusPending {
			sum += refund.Amount
		}
	}
	return sum, nil
}

// settle reads an intent's status. An intent that waits for the cardholder to identify themselves is cancelled,
// because nobody is there to do it; if that fails, the reaction comes again.
func (g *Gateway) settle(ctx context.Context, pi *stripe.PaymentIntent) (Intent, error) {
	in := Intent{ID: pi.ID}
	switch pi.Status {
	case stripe.PaymentIntentStatusSucceeded:
		in.Status = IntentCaptured
	case stripe.PaymentIntentStatusCanceled:
		in.Status, in.Code = IntentRefused, string(pi.Status)
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		if pi.LastPaymentError != nil {
			in.Status, in.Code = IntentRefused, refusalCode(pi.LastPaymentError)
		}
	case stripe.PaymentIntentStatusProcessing:
		return in, errors.New("processor: the charge is still being processed")
	case stripe.PaymentIntentStatusRequiresAction:
		if err := g.cancel(ctx, pi.ID); err != nil {
			return in, err
		}
		in.Status, in.Code = IntentRefused, string(stripe.DeclineCodeAuthenticationRequired)
	}
	return in, nil
}

// cancel closes an intent for good. One that somebody else has closed, or captured, meanwhile cannot be cancelled;
// that is no reason to give up: the next attempt reads what has become of it.
func (g *Gateway) cancel(ctx context.Context, id string) error {
	_, err := g.stripe.V1PaymentIntents.Cancel(ctx, id, nil)
	if err == nil {
		return nil
	}
	failed := verdict("cancel intent", err)
	var answer *stripe.Error
	if errors.As(err, &answer) && answer.HTTPStatusCode == http.StatusBadRequest {
		return fmt.Errorf("%v", failed) // and no longer permanent
	}
	return failed
}

// refusal says whether an error is the processor's word about this card, amount or currency, and which.
func refusal(err error) (code string, refused bool) {
	var answer *stripe.Error
	if !errors.As(err, &answer) {
		return "", false
	}
	ours := answer.Type == stripe.ErrorTypeInvalidRequest && answer.HTTPStatusCode != http.StatusConflict
	switch {
	case answer.Type == stripe.ErrorTypeCard,
		ours && answer.Param == "payment_method",
		ours && answer.Param == "amount",
		ours && answer.Param == "currency",
		answer.Code == stripe.ErrorCodeAmountTooSmall,
		answer.Code == stripe.ErrorCodeAmountTooLarge:
		return refusalCode(answer), true
	}
	return "", false
}

func refusalCode(e *stripe.Error) string {
	switch {
	case e.DeclineCode != "":
		return string(e.DeclineCode)
	case e.Code != "":
		return string(e.Code)
	default:
		return string(e.Type)
	}
}

// verdict turns a failed call into what the reaction should do about it. The client's own error text is left out,
// since it may quote the payment method; the request id leads to everything on the processor's side.
func verdict(call string, err error) error {
	var answer *stripe.Error
	if !errors.As(err, &answer) {
		return withoutAnswer(call, err)
	}
	said := fmt.Errorf("processor: %s: status %d, type %q, code %q, param %q, request %q",
		call, answer.HTTPStatusCode, answer.Type, answer.Code, answer.Param, answer.RequestID)
	replayed := answer.LastResponse != nil && answer.LastResponse.Header.Get("Idempotent-Replayed") == "true"
	switch status := answer.HTTPStatusCode; {
	case status == http.StatusConflict:
		return said // the key is in use: the call that it belongs to is still running
	case answer.Type == stripe.ErrorTypeIdempotency, status >= 500 && replayed:
		return fmt.Errorf("%w: %w", said, errKeySpent)
	case status == http.StatusServiceUnavailable, status == http.StatusUnauthorized, status == http.StatusForbidden,
		status == http.StatusTooManyRequests && answer.Code != stripe.ErrorCodeLockTimeout:
		return events.Unavailable(said) // no other event would fare better
	case status >= 500, status == http.StatusTooManyRequests:
		return said
	default:
		return events.Permanent(said)
	}
}

// withoutAnswer tells a request that was never sent from one whose answer was lost or is not the processor's.
func withoutAnswer(call string, err error) error {
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" {
		return events.Unavailable(fmt.Errorf("processor: %s: %w", call, err))
	}
	var lost *url.Error
	if errors.As(err, &lost) {
		return fmt.Errorf("processor: %s: %w", call, err)
	}
	return fmt.Errorf("processor: %s: unreadable answer (%T)", call, err)
}
