package shipping

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis/external"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// maxText is the longest text of the carrier that is stored, in characters.
const maxText = 200

// Carrier calls the carrier. Its errors are those that a handler returns: events.Unavailable if the carrier cannot be
// reached, events.Permanent if it says, in the form of its API, that it will never accept the request, any other if a
// retry may help. A response that is not of the form of its API is such an error, so that it decides nothing. A decision
// of the carrier is not an error but a BookingResult or a CancelResult, whose strings can be stored. A Carrier is safe for
// concurrent use. A call blocks for at most the client's timeout.
type Carrier struct {
	base      string
	http      *http.Client
	transport *http.Transport
}

// NewCarrier returns a client of the carrier at address. Each call takes at most timeout. The client does not retry,
// because a failed handler is retried.
func NewCarrier(address string, timeout time.Duration) *Carrier {
	transport := external.NewTransport(timeout)
	return &Carrier{
		base: strings.TrimSuffix(address, "/"), http: external.NewClient(transport, timeout), transport: transport,
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
		return BookingResult{Rejected: true, Detail: external.Text(response.Detail, maxText)}, nil
	case response.Reference != "" && response.Reference != orderID:
		return BookingResult{}, errors.New("carrier: book: response is about another order")
	case status/100 == 2 && external.ValidID(response.ID):
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
	case response.ID != "" && response.ID != parcelID:
		return CancelResult{}, errors.New("carrier: cancel: response is about another parcel")
	case status/100 == 2 && response.State == "cancelled":
		return CancelResult{Granted: true}, nil
	case status == http.StatusConflict && response.Code == "dispatched":
		return CancelResult{TooLate: true, Tracking: external.Text(response.Tracking, maxText)}, nil
	case status == http.StatusNotFound:
		return CancelResult{}, fmt.Errorf("carrier: cancel: parcel %s is unknown", parcelID) // but the carrier has booked it
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
		ID        string `json:"id"`
		Reference string `json:"reference"`
		State     string `json:"state"`
		Tracking  string `json:"tracking"`
		Code      string `json:"code"`
		Detail    string `json:"detail"`
	}
)

// post makes one call.
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
	read, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, carrierResponse{}, toConnectionError(call, err)
	}
	var decoded carrierResponse
	if json.Unmarshal(read, &decoded) != nil {
		return 0, carrierResponse{}, fmt.Errorf("carrier: %s: response with status %d cannot be decoded", call, response.StatusCode)
	}
	return response.StatusCode, decoded, nil
}

// checkStatus converts an unexpected response into the handler's error: retry, pause or, if the carrier gives a reason,
// dead letter.
func checkStatus(call string, status int, response carrierResponse) error {
	failed := fmt.Errorf("carrier: %s: status %d, code %q", call, status, external.Text(response.Code, maxText))
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		http.StatusTooManyRequests, http.StatusUnauthorized, http.StatusForbidden:
		return events.Unavailable(failed) // other events would fail too
	}
	if status >= 400 && status < 500 && external.ValidID(response.Code) {
		return events.Permanent(failed)
	}
	return failed
}

// toConnectionError distinguishes a request that was never sent from one whose response was lost.
func toConnectionError(call string, err error) error {
	err = fmt.Errorf("carrier: %s: %w", call, err)
	if external.NeverSent(err) {
		return events.Unavailable(err)
	}
	return err
}
