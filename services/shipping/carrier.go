package shipping

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// maxAnswer bounds what is read of the carrier's answers, in bytes.
const maxAnswer = 64 << 10

// Carrier is the way to the carrier. Its errors are verdicts for a reaction: events.Unavailable if the carrier
// cannot be reached, events.Permanent if it will never take the request, any other if trying again may help. What
// the carrier decides is no error but a BookingAnswer or a CancelAnswer. It is safe for concurrent use; a call blocks for
// the client's time-out at most.
type Carrier struct {
	base      string
	http      *http.Client
	transport *http.Transport
}

// NewCarrier talks to the carrier at address. Each call takes timeout at most. It repeats nothing by itself: a
// reaction that failed is delivered again.
func NewCarrier(address string, timeout time.Duration) *Carrier {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	transport.DialContext = (&net.Dialer{Timeout: timeout / 2}).DialContext // so that "not reached" shows as such
	return &Carrier{
		base:      strings.TrimSuffix(address, "/"),
		http:      &http.Client{Timeout: timeout, Transport: otelhttp.NewTransport(transport)},
		transport: transport,
	}
}

// Close lets idle connections go.
func (c *Carrier) Close() { c.transport.CloseIdleConnections() }

// BookingAnswer is what the carrier says about a parcel: its id, or why it will not deliver.
type BookingResult struct {
	ParcelID string
	Refused  bool
	Detail   string
}

// CancelAnswer is what the carrier says about forgetting a parcel: granted, or too late and where it is.
type CancelResult struct {
	Granted  bool
	TooLate  bool
	Tracking string
}

// Book asks for one parcel for the order. The order's id is the reference: asked again, the carrier answers with
// the same parcel, or the same refusal.
func (c *Carrier) Book(ctx context.Context, orderID string, to Address, items []Item) (BookingResult, error) {
	request := bookingRequest{Reference: orderID, Address: addressOnTheWire(to)}
	for _, item := range items {
		request.Items = append(request.Items, itemOnTheWire(item))
	}
	status, answer, err := c.post(ctx, "book", "/v1/shipments", request)
	switch {
	case err != nil:
		return BookingResult{}, err
	case status == http.StatusUnprocessableEntity && answer.Code == "undeliverable":
		return BookingResult{Refused: true, Detail: answer.Detail}, nil
	case status/100 == 2 && answer.ID != "":
		return BookingResult{ParcelID: answer.ID}, nil
	default:
		return BookingResult{}, checkStatus("book", status, answer)
	}
}

// Cancel asks the carrier, who decides, whether a parcel can still be kept from leaving. Asked again, it answers
// the same.
func (c *Carrier) Cancel(ctx context.Context, parcelID string) (CancelResult, error) {
	status, answer, err := c.post(ctx, "cancel", "/v1/shipments/"+url.PathEscape(parcelID)+"/cancel", nil)
	switch {
	case err != nil:
		return CancelResult{}, err
	case status/100 == 2 && answer.State == "cancelled":
		return CancelResult{Granted: true}, nil
	case status == http.StatusConflict && answer.Code == "dispatched":
		return CancelResult{TooLate: true, Tracking: answer.Tracking}, nil
	default:
		return CancelResult{}, checkStatus("cancel", status, answer)
	}
}

// What travels to the carrier and back. The conversions fail to compile if the domain's fields and these part.
type (
	bookingRequest struct {
		Reference string           `json:"reference"`
		Address   addressOnTheWire `json:"address"`
		Items     []itemOnTheWire  `json:"items"`
	}
	addressOnTheWire struct {
		Name       string `json:"name"`
		Street     string `json:"street"`
		City       string `json:"city"`
		PostalCode string `json:"postalCode"`
		Country    string `json:"country"`
	}
	itemOnTheWire struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	// carrierAnswer is a shipment, or an error with its code.
	carrierAnswer struct {
		ID       string `json:"id"`
		State    string `json:"state"`
		Tracking string `json:"tracking"`
		Code     string `json:"code"`
		Detail   string `json:"detail"`
	}
)

// post makes one call. A body that is not JSON leaves the answer empty, and the status to be judged alone.
func (c *Carrier) post(ctx context.Context, call, path string, body any) (int, carrierAnswer, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return 0, carrierAnswer{}, events.Permanent(fmt.Errorf("carrier: %s: %w", call, err))
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(encoded))
	if err != nil {
		return 0, carrierAnswer{}, events.Permanent(fmt.Errorf("carrier: %s: %w", call, err))
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return 0, carrierAnswer{}, withoutAnswer(call, err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, carrierAnswer{}, withoutAnswer(call, err)
	}
	var answer carrierAnswer
	if json.Unmarshal(read, &answer) != nil {
		answer = carrierAnswer{}
	}
	return response.StatusCode, answer, nil
}

// verdict turns an unwelcome answer into what the reaction should do about it.
func checkStatus(call string, status int, answer carrierAnswer) error {
	said := fmt.Errorf("carrier: %s: status %d, code %q", call, status, answer.Code)
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		http.StatusTooManyRequests, http.StatusUnauthorized, http.StatusForbidden:
		return events.Unavailable(said) // no other event would fare better
	}
	if status >= 400 && status < 500 {
		return events.Permanent(said)
	}
	return said
}

// withoutAnswer tells a request that was never sent from one whose answer was lost.
func withoutAnswer(call string, err error) error {
	err = fmt.Errorf("carrier: %s: %w", call, err)
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" {
		return events.Unavailable(err)
	}
	return err
}
