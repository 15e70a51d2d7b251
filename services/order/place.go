package order

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// placeRequest is what a customer sends.
type placeRequest struct {
	CustomerID      string      `json:"customerId"`
	Items           []OrderLine `json:"items"`
	ShippingAddress Address     `json:"shippingAddress"`
	PaymentMethod   string      `json:"paymentMethod"`
}

// place prices, stores and announces an order in tx, or refuses with every mistake in the request.
func (s *Service) place(ctx context.Context, tx *gorm.DB, req placeRequest) (*Order, []HistoryEntry, error) {
	var skus []string
	for i, w := range req.Items {
		if i < MaxItems && plain(w.SKU) {
			skus = append(skus, w.SKU)
		}
	}
	catalogue, err := readCatalogue(tx, skus)
	if err != nil {
		return nil, nil, err
	}
	items, total, mistakes := Price(req.Items, catalogue)
	if mistakes = append(req.mistakes(), mistakes...); len(mistakes) > 0 {
		return nil, nil, refuse(mistakes)
	}

	id, err := uuid.NewV7()
	if err != nil {
		return nil, nil, fmt.Errorf("new order id: %w", err)
	}
	placed := now()
	o := &Order{
		ID: id.String(), CustomerID: req.CustomerID, Items: items, Total: total, ShipTo: req.ShippingAddress,
		PaymentMethod: req.PaymentMethod, PlacedAt: placed, WaitingSince: placed,
	}
	history, err := s.publish(ctx, tx, o, o.Place())
	if err != nil {
		return nil, nil, err
	}
	if err := insertOrder(ctx, tx, o); err != nil {
		return nil, nil, err
	}
	if err := insertHistory(tx, history); err != nil {
		return nil, nil, err
	}
	slog.InfoContext(ctx, "order placed", "order_id", o.ID, "total", total.Amount, "currency", total.Currency)
	return o, history, nil
}

func refuse(mistakes []FieldError) error {
	fields := make([]httpapi.FieldError, len(mistakes))
	for i, m := range mistakes {
		fields[i] = httpapi.FieldError(m)
	}
	return httpapi.Unprocessable(fields...)
}

const maxCustomerID = 100 // characters

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// mistakes is what can be said of a request without looking anything up.
func (r placeRequest) mistakes() []FieldError {
	var found []FieldError
	text := func(field, value string, most int) {
		switch {
		case strings.TrimSpace(value) == "":
			found = append(found, FieldError{field, "is required"})
		case utf8.RuneCountInString(value) > most:
			found = append(found, FieldError{field, fmt.Sprintf("may have at most %d characters", most)})
		case !plain(value):
			found = append(found, FieldError{field, "may not contain control characters"})
		}
	}
	text("customerId", r.CustomerID, maxCustomerID)
	text("shippingAddress.name", r.ShippingAddress.Name, 200)
	text("shippingAddress.street", r.ShippingAddress.Street, 200)
	text("shippingAddress.city", r.ShippingAddress.City, 200)
	text("shippingAddress.postalCode", r.ShippingAddress.PostalCode, 20)
	switch {
	case r.ShippingAddress.Country == "":
		found = append(found, FieldError{"shippingAddress.country", "is required"})
	case !country.MatchString(r.ShippingAddress.Country):
		found = append(found, FieldError{"shippingAddress.country", "must be two capital letters, as in ISO 3166-1"})
	}
	text("paymentMethod", r.PaymentMethod, 255)
	return found
}

// plain says that a text holds nothing that a database refuses or a terminal obeys.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }
