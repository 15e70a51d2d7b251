package order

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/aggregate"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// placeRequest is the body of POST /orders.
type placeRequest struct {
	CustomerID      string      `json:"customerId"`
	Items           []OrderLine `json:"items"`
	ShippingAddress Address     `json:"shippingAddress"`
	PaymentMethod   string      `json:"paymentMethod"`
}

// place validates, prices, stores and publishes an order in tx. If the request is not valid, the error lists every
// field error. incomplete is not nil if products of the catalogue had not arrived before tx began: an unknown product may be
// one of them, so that the client is asked to repeat the request.
func (s *Service) place(ctx context.Context, tx *gorm.DB, req placeRequest, incomplete error) (*Order, error) {
	wrong := req.validate()
	catalogue, err := readCatalogue(tx, req.skus())
	if err != nil {
		return nil, err
	}
	if incomplete != nil && slices.ContainsFunc(req.skus(), func(sku string) bool { _, known := catalogue[sku]; return !known }) {
		return nil, httpapi.Unavailable("The catalogue has not arrived yet. Nothing was changed.", time.Second).Because(incomplete)
	}
	items, total, alsoWrong := Price(req.Items, catalogue)
	if wrong = append(wrong, alsoWrong...); len(wrong) > 0 {
		return nil, unprocessable(wrong)
	}

	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("new order id: %w", err)
	}
	placedAt := now()
	o := Order{
		ID: id.String(), CustomerID: req.CustomerID, Items: items, Total: total, ShipTo: req.ShippingAddress,
		PaymentMethod: req.PaymentMethod, PlacedAt: placedAt, WaitingSince: placedAt,
	}
	c := &aggregate.Change[Order]{ID: o.ID, After: o, ETOs: o.Place()}
	if err := s.orders(nil).Commit(ctx, tx, c); err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "order placed", "order_id", o.ID, "total", total.Amount, "currency", total.Currency)
	return &c.After, nil
}

func unprocessable(wrong []FieldError) error {
	fields := make([]httpapi.FieldError, len(wrong))
	for i, e := range wrong {
		fields[i] = httpapi.FieldError(e)
	}
	return httpapi.Unprocessable(fields...)
}

const maxCustomerID = 100 // characters

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// validate returns the field errors that can be found without the catalogue. Price finds those of the items.
func (r placeRequest) validate() []FieldError {
	var wrong []FieldError
	text := func(field, value string, most int) {
		switch {
		case strings.TrimSpace(value) == "":
			wrong = append(wrong, FieldError{field, "is required"})
		case utf8.RuneCountInString(value) > most:
			wrong = append(wrong, FieldError{field, fmt.Sprintf("may have at most %d characters", most)})
		case !plain(value):
			wrong = append(wrong, FieldError{field, "may not contain control characters"})
		}
	}
	text("customerId", r.CustomerID, maxCustomerID)
	text("shippingAddress.name", r.ShippingAddress.Name, 200)
	text("shippingAddress.street", r.ShippingAddress.Street, 200)
	text("shippingAddress.city", r.ShippingAddress.City, 200)
	text("shippingAddress.postalCode", r.ShippingAddress.PostalCode, 20)
	switch {
	case r.ShippingAddress.Country == "":
		wrong = append(wrong, FieldError{"shippingAddress.country", "is required"})
	case !country.MatchString(r.ShippingAddress.Country):
		wrong = append(wrong, FieldError{"shippingAddress.country", "must be two capital letters, as in ISO 3166-1"})
	}
	text("paymentMethod", r.PaymentMethod, 255)
	return wrong
}

// skus returns the SKUs of the request that can be looked up.
func (r placeRequest) skus() []string {
	var skus []string
	for i, line := range r.Items {
		if i < MaxItems && plain(line.SKU) {
			skus = append(skus, line.SKU)
		}
	}
	return skus
}

// plain reports whether s is valid UTF-8 without control characters, which a database may reject and a terminal may
// execute.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }
