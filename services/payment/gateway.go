package payment

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/quadrille-dev/quadrille/pkg/chassis/external"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Gateway calls the card processor through the official Stripe client. Its errors are those that a handler returns:
// events.Unavailable if the card processor cannot be reached, events.Permanent if it says, in the form of its API, that it
// will never accept the request, any other if a retry may help. A response that is not of the form of its API, or about
// another intent or amount, is such an error, so that it decides nothing. Errors carry neither card data nor keys. A
// declined card is not an error but the status of an Intent, whose strings can be stored. A Gateway is safe for concurrent
// use. A call blocks for at most the client's timeout.
type Gateway struct {
	stripe    *stripe.Client
	transport *http.Transport
}

// NewGateway returns a gateway to the card processor at address: https://api.stripe.com or a compatible one. Each call
// takes at most timeout. The gateway does not retry, because a failed handler is retried.
func NewGateway(address, key string, timeout time.Duration) *Gateway {
	transport := external.NewTransport(timeout)
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL:               stripe.String(address),
		HTTPClient:        external.NewClient(transport, timeout),
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   new(false),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return &Gateway{stripe: stripe.NewClient(key, stripe.WithBackends(backends)), transport: transport}
}

// Close closes idle connections.
func (g *Gateway) Close() { g.transport.CloseIdleConnections() }

// Intent is the part of a payment intent that this service needs.
type Intent struct {
	ID     string
	Status IntentStatus
	Code   string // why it was declined
}

// IntentStatus is the status of an intent.
type IntentStatus int

// Statuses of an intent. An intent is open until it is captured or declined, and then stays so.
const (
	IntentOpen IntentStatus = iota
	IntentCaptured
	IntentDeclined
)

// errKeyUsedUp means that the card processor replays, for an idempotency key, a stored failure or a refund that failed
// later, and will continue to do so.
var errKeyUsedUp = errors.New("idempotency key is used up")

// Create creates an intent. Nothing is captured before Confirm.
func (g *Gateway) Create(ctx context.Context, key, orderID string, amount Money, method string) (Intent, error) {
	params := &stripe.PaymentIntentCreateParams{
		Amount:        new(amount.Amount),
		Currency:      stripe.String(strings.ToLower(amount.Currency)),
		PaymentMethod: stripe.String(method),
		AutomaticPaymentMethods: &stripe.PaymentIntentCreateAutomaticPaymentMethodsParams{
			Enabled:        new(true),
			AllowRedirects: stripe.String("never"), // a backend cannot follow a redirect
		},
		Metadata: map[string]string{"order_id": orderID},
	}
	params.SetIdempotencyKey(key)
	created, err := g.stripe.V1PaymentIntents.Create(ctx, params)
	if code, declined := declineCode(err); declined {
		return Intent{Status: IntentDeclined, Code: code}, nil
	}
	if err != nil {
		return Intent{}, toHandlerError("create intent", err)
	}
	return g.toIntent(ctx, created, amount)
}

// Read returns the current status of an intent over amount.
func (g *Gateway) Read(ctx context.Context, id string, amount Money) (Intent, error) {
	read, err := g.stripe.V1PaymentIntents.Retrieve(ctx, id, nil)
	if err != nil {
		return Intent{}, toHandlerError("read intent", err)
	}
	return g.toKnownIntent(ctx, id, read, amount)
}

// Confirm captures the amount of an intent and returns the intent's status. If the response is an error, or is lost, the outcome is
// unknown: then the intent is read, and its status decides. If the request was rejected and left the intent open, the
// intent is cancelled, so that it cannot be confirmed later.
func (g *Gateway) Confirm(ctx context.Context, key, id string, amount Money) (Intent, error) {
	params := &stripe.PaymentIntentConfirmParams{}
	params.SetIdempotencyKey(key)
	confirmed, err := g.stripe.V1PaymentIntents.Confirm(ctx, id, params)
	if err == nil {
		return g.toKnownIntent(ctx, id, confirmed, amount)
	}
	failed := toHandlerError("confirm intent", err)
	read, readErr := g.Read(ctx, id, amount)
	if readErr != nil {
		return Intent{}, fmt.Errorf("%w (after: %v)", readErr, failed) //nolint:errorlint // the reading decides whether the handler is retried
	}
	if read.Status != IntentOpen {
		return read, nil
	}
	code, declined := declineCode(err)
	if !declined {
		return read, failed
	}
	if err := g.cancel(ctx, id); err != nil {
		return read, err
	}
	return Intent{ID: id, Status: IntentDeclined, Code: code}, nil
}

// Refund refunds what is left of an intent, and returns nil once amount has been refunded in total. As
// with Confirm, only what is read afterwards counts: a refund may fail after it was made, and the card processor may
// replay one that failed for its idempotency key.
func (g *Gateway) Refund(ctx context.Context, key, id string, amount Money) error {
	given, err := g.refunded(ctx, id, amount)
	if err != nil || given >= amount.Amount {
		return err
	}
	params := &stripe.RefundCreateParams{PaymentIntent: stripe.String(id)}
	params.SetIdempotencyKey(key)
	made, err := g.stripe.V1Refunds.Create(ctx, params)
	var failed error
	if err != nil {
		failed = toHandlerError("refund", err)
	} else {
		failed = fmt.Errorf("card processor: refund %s is %s: %w",
			external.Text(made.ID, maxText), external.Text(string(made.Status), maxText), errKeyUsedUp)
	}
	given, err = g.refunded(ctx, id, amount)
	if err != nil {
		return fmt.Errorf("%w (after: %v)", err, failed) //nolint:errorlint // the reading decides whether the handler is retried
	}
	if given < amount.Amount {
		return failed
	}
	return nil
}

const (
	refundPage = 50
	maxRefunds = 5000 // of one intent; each attempt of a refund makes at most one
)

// refunded returns the sum of the refunds of an intent over amount that were made so far. A pending refund counts. It
// reads page by page itself, because the client follows pages without end.
func (g *Gateway) refunded(ctx context.Context, id string, amount Money) (int64, error) {
	params := &stripe.RefundListParams{PaymentIntent: stripe.String(id)}
	params.Limit, params.Single = stripe.Int64(refundPage), true
	var sum int64
	for read := map[string]bool{}; ; {
		page := g.stripe.V1Refunds.List(ctx, params)
		if err := page.Err(); err != nil {
			return 0, toHandlerError("list refunds", err)
		}
		if page.Data() == nil { // also an empty list has data
			return 0, errors.New("card processor: list refunds: response is not a list")
		}
		var last string
		for refund, err := range page.All(ctx) {
			switch {
			case err != nil:
				return 0, toHandlerError("list refunds", err)
			case refund == nil, !external.ValidID(refund.ID), read[refund.ID], len(read) == maxRefunds,
				refund.Amount <= 0, refund.Amount > amount.Amount, !strings.EqualFold(string(refund.Currency), amount.Currency),
				refund.PaymentIntent != nil && refund.PaymentIntent.ID != id:
				return 0, fmt.Errorf("card processor: list refunds: refund %d is not one of intent %s over %d %s",
					len(read)+1, id, amount.Amount, amount.Currency)
			case refund.Status == stripe.RefundStatusSucceeded, refund.Status == stripe.RefundStatusPending:
				sum += refund.Amount
			}
			last, read[refund.ID] = refund.ID, true
		}
		switch {
		case !page.Meta().HasMore:
			return sum, nil
		case last == "":
			return 0, errors.New("card processor: list refunds: an empty page is followed by another")
		}
		params.StartingAfter = stripe.String(last)
	}
}

// toKnownIntent converts the intent with the given id.
func (g *Gateway) toKnownIntent(ctx context.Context, id string, pi *stripe.PaymentIntent, amount Money) (Intent, error) {
	if pi.ID != id {
		return Intent{}, fmt.Errorf("card processor: response is not about intent %s", id)
	}
	return g.toIntent(ctx, pi, amount)
}

// toIntent converts an intent over amount. An intent that requires the cardholder's authentication is cancelled, because the
// cardholder is not present; if that fails, the handler is retried.
func (g *Gateway) toIntent(ctx context.Context, pi *stripe.PaymentIntent, amount Money) (Intent, error) {
	captured := pi.Status == stripe.PaymentIntentStatusSucceeded
	switch {
	case !external.ValidID(pi.ID):
		return Intent{}, errors.New("card processor: response has no valid id")
	case pi.Amount != amount.Amount, !strings.EqualFold(string(pi.Currency), amount.Currency), captured && pi.AmountReceived != amount.Amount:
		return Intent{}, fmt.Errorf("card processor: intent %s is not over %d %s", pi.ID, amount.Amount, amount.Currency)
	}
	in := Intent{ID: pi.ID}
	switch pi.Status {
	case stripe.PaymentIntentStatusRequiresConfirmation, stripe.PaymentIntentStatusRequiresCapture: // open
	case stripe.PaymentIntentStatusSucceeded:
		in.Status = IntentCaptured
	case stripe.PaymentIntentStatusCanceled:
		in.Status, in.Code = IntentDeclined, string(pi.Status)
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		if pi.LastPaymentError != nil {
			in.Status, in.Code = IntentDeclined, codeOf(pi.LastPaymentError)
		}
	case stripe.PaymentIntentStatusProcessing:
		return in, errors.New("card processor: charge is still being processed")
	case stripe.PaymentIntentStatusRequiresAction:
		if err := g.cancel(ctx, pi.ID); err != nil {
			return in, err
		}
		in.Status, in.Code = IntentDeclined, string(stripe.DeclineCodeAuthenticationRequired)
	default:
		return Intent{}, fmt.Errorf("card processor: intent %s has the unknown status %q", pi.ID, external.Text(string(pi.Status), maxText))
	}
	return in, nil
}

// cancel closes an intent. An intent that a concurrent call has closed or captured cannot be cancelled. That error is not
// permanent: the next attempt reads the intent's status.
func (g *Gateway) cancel(ctx context.Context, id string) error {
	_, err := g.stripe.V1PaymentIntents.Cancel(ctx, id, nil)
	if err == nil {
		return nil
	}
	failed := toHandlerError("cancel intent", err)
	var apiError *stripe.Error
	if errors.As(err, &apiError) && apiError.HTTPStatusCode == http.StatusBadRequest {
		return errors.New(failed.Error()) // not wrapped: no longer permanent
	}
	return failed
}

// declineCode returns the code of an error that is about this card, amount or currency, and whether it is one.
func declineCode(err error) (code string, declined bool) {
	var apiError *stripe.Error
	if !errors.As(err, &apiError) || apiError.HTTPStatusCode >= 500 {
		return "", false
	}
	ours := apiError.Type == stripe.ErrorTypeInvalidRequest && apiError.HTTPStatusCode != http.StatusConflict
	switch {
	case apiError.Type == stripe.ErrorTypeCard,
		ours && apiError.Param == "payment_method",
		ours && apiError.Param == "amount",
		ours && apiError.Param == "currency",
		apiError.Code == stripe.ErrorCodeAmountTooSmall,
		apiError.Code == stripe.ErrorCodeAmountTooLarge:
		return codeOf(apiError), true
	}
	return "", false
}

// maxText is the longest text of the card processor that is stored or logged, in characters.
const maxText = 100

func codeOf(e *stripe.Error) string {
	for _, code := range []string{string(e.DeclineCode), string(e.Code)} {
		if code = external.Text(code, maxText); code != "" {
			return code
		}
	}
	return external.Text(string(e.Type), maxText)
}

// toHandlerError converts the error of a call into the handler's: retry, pause or dead letter. The text of the client's
// error is left out, because it may quote the payment method; the request id leads to all details at the card processor.
func toHandlerError(call string, err error) error {
	var apiError *stripe.Error
	if !errors.As(err, &apiError) {
		return toConnectionError(call, err)
	}
	failed := fmt.Errorf("card processor: %s: status %d, type %q, code %q, param %q, request %q",
		call, apiError.HTTPStatusCode, external.Text(string(apiError.Type), maxText), external.Text(string(apiError.Code), maxText),
		external.Text(apiError.Param, maxText), external.Text(apiError.RequestID, maxText))
	replayed := apiError.LastResponse != nil && apiError.LastResponse.Header.Get("Idempotent-Replayed") == "true"
	switch status := apiError.HTTPStatusCode; {
	case status == http.StatusConflict:
		return failed // the key is in use: an earlier call is still running
	case apiError.Type == stripe.ErrorTypeIdempotency, status >= 500 && replayed:
		return fmt.Errorf("%w: %w", failed, errKeyUsedUp)
	case status == http.StatusServiceUnavailable, status == http.StatusUnauthorized, status == http.StatusForbidden,
		status == http.StatusTooManyRequests && apiError.Code != stripe.ErrorCodeLockTimeout:
		return events.Unavailable(failed) // other events would fail too
	case status >= 500, status == http.StatusTooManyRequests:
		return failed
	case apiError.Type == stripe.ErrorTypeInvalidRequest, apiError.Type == stripe.ErrorTypeCard:
		return events.Permanent(failed)
	default:
		return failed // not an error of the card processor's API
	}
}

// toConnectionError distinguishes a request that was never sent from one whose response was lost or cannot be read.
func toConnectionError(call string, err error) error {
	if external.NeverSent(err) {
		return events.Unavailable(fmt.Errorf("card processor: %s: %w", call, err))
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("card processor: %s: %w", call, err)
	}
	return fmt.Errorf("card processor: %s: unreadable response (%T)", call, err)
}
