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

// maxResponse is the largest part of a carrier's response that is read, in bytes.
const maxResponse = 64 << 10

// Carrier calls the carrier. Its errors are those that a handler returns: events.Unavailable if the carrier cannot be
// reached, events.Permanent if it will never accept the request, any other if a retry may help. A decision of the
// carrier is not an error but a BookingResult or a CancelResult. A Carrier is safe for concurrent use. A call blocks for
// at most the client's timeout.
type Carrier struct {
	base      string
	http      *http.Client
	transport *http.Transport
}

// NewCarrier returns a client of the carrier at address. Each call takes at most timeout. The client does not retry,
// because a failed handler is retried.
func NewCarrier(address string, timeout time.Duration) *Carrier {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	transport.DialContext = (&net.Dialer{Timeout: timeout / 2}).DialContext // so that an unreachable address fails in the dial
	return &Carrier{
		base:      strings.TrimSuffix(address, "/"),
		http:      &http.Client{Timeout: timeout, Transport: otelhttp.NewTransport(transport)},
		transport: transport,
	}
}

// Close closes idle connections.
func (c *Carrier) Close() { c.transport.CloseIdleConnections() }

// BookingResult is the carrier's decision about a booking: the parcel's id, or why the carrier does not deliver.
type BookingResult struct {
	ParcelID string
	Rejected bool
	Detail   string
}

// CancelResult is the carrier's decision about a cancellation: granted, or too late, with the tracking number.
type CancelResult struct {
	Granted  bool
	TooLate  bool
	Tracking string
}

// Book books one parcel for the order. The order's id is the reference: a repeated call returns the same parcel, or the
// same rejection.
func (c *Carrier) Book(ctx context.Context, orderID string, to Address, items []Item) (BookingResult, error) {
	request := bookingRequest{Reference: orderID, Address: carrierAddress(to)}
	for _, item := range items {
		request.Items = append(request.Items, carrierItem(item))
	}
	status, response, err := c.post(ctx, "book", "/v1/shipments", request)
	switch {
	case err != nil:
		return BookingResult{}, err
	case status == http.StatusUnprocessableEntity && response.Code == "undeliverable":
		return BookingResult{Rejected: true, Detail: response.Detail}, nil
	case status/100 == 2 && response.ID != "":
		return BookingResult{ParcelID: response.ID}, nil
	default:
		return BookingResult{}, checkStatus("book", status, response)
	}
}

// Cancel asks the carrier to cancel a parcel. The carrier decides; a repeated call returns the same decision.
func (c *Carrier) Cancel(ctx context.Context, parcelID string) (CancelResult, error) {
	status, response, err := c.post(ctx, "cancel", "/v1/shipments/"+url.PathEscape(parcelID)+"/cancel", nil)
	switch {
	case err != nil:
		return CancelResult{}, err
	case status/100 == 2 && response.State == "cancelled":
		return CancelResult{Granted: true}, nil
	case status == http.StatusConflict && response.Code == "dispatched":
		return CancelResult{TooLate: true, Tracking: response.Tracking}, nil
	default:
		return CancelResult{}, checkStatus("cancel", status, response)
	}
}

// JSON of the carrier's API. The conversions do not compile if these fields and those of the domain differ.
type (
	bookingRequest struct {
		Reference string         `json:"reference"`
		Address   carrierAddress `json:"address"`
		Items     []carrierItem  `json:"items"`
	}
	carrierAddress struct {
		Name       string `json:"name"`
		Street     string `json:"street"`
		City       string `json:"city"`
		PostalCode string `json:"postalCode"`
		Country    string `json:"country"`
	}
	carrierItem struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	// carrierResponse is a shipment, or an error with its code.
	carrierResponse struct {
		ID       string `json:"id"`
		State    string `json:"state"`
		Tracking string `json:"tracking"`
		Code     string `json:"code"`
		Detail   string `json:"detail"`
	}
)

// post makes one call. A response that is not JSON is returned empty, so that only its status counts.
func (c *Carrier) post(ctx context.Context, call, path string, body any) (int, carrierResponse, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return 0, carrierResponse{}, events.Permanent(fmt.Errorf("carrier: %s: %w", call, err))
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(encoded))
	if err != nil {
		return 0, carrierResponse{}, events.Permanent(fmt.Errorf("carrier: %s: %w", call, err))
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return 0, carrierResponse{}, toConnectionError(call, err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return 0, carrierResponse{}, toConnectionError(call, err)
	}
	var decoded carrierResponse
	if json.Unmarshal(read, &decoded) != nil {
		decoded = carrierResponse{}
	}
	return response.StatusCode, decoded, nil
}

// checkStatus converts an unexpected response into the handler's error: retry, pause or dead letter.
func checkStatus(call string, status int, response carrierResponse) error {
	failed := fmt.Errorf("carrier: %s: status %d, code %q", call, status, response.Code)
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		http.StatusTooManyRequests, http.StatusUnauthorized, http.StatusForbidden:
		return events.Unavailable(failed) // other events would fail too
	}
	if status >= 400 && status < 500 {
		return events.Permanent(failed)
	}
	return failed
}

// toConnectionError distinguishes a request that was never sent from one whose response was lost.
func toConnectionError(call string, err error) error {
	err = fmt.Errorf("carrier: %s: %w", call, err)
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" {
		return events.Unavailable(err)
	}
	return err
}
