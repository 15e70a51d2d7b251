package inventory

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Routes adds the service's endpoints.
func (s *Service) Routes(r *httpapi.Router) {
	api := r.API
	api.PUT("/products/:sku", httpapi.Handle(s.putProduct))
	api.DELETE("/products/:sku", httpapi.Handle(s.deleteProduct))
	api.GET("/products", httpapi.Handle(s.listProducts))
	api.GET("/products/:sku", httpapi.Handle(s.getProduct))
	api.POST("/products/:sku/restock", httpapi.Handle(s.restockProduct))
	api.GET("/reservations/:orderId", httpapi.Handle(s.getReservation))
}

type (
	moneyJSON struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	putProductRequest struct {
		Name  string    `json:"name"`
		Price moneyJSON `json:"price"`
	}
	restockRequest struct {
		Quantity int `json:"quantity"`
	}
	productResponse struct {
		SKU       string    `json:"sku"`
		Name      string    `json:"name"`
		Price     moneyJSON `json:"price"`
		OnHand    int       `json:"onHand"`
		Reserved  int       `json:"reserved"`
		Available int       `json:"available"`
		Version   int64     `json:"version"`
	}
	stockResponse struct {
		SKU       string `json:"sku"`
		OnHand    int    `json:"onHand"`
		Reserved  int    `json:"reserved"`
		Available int    `json:"available"`
	}
	itemJSON struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	shortageJSON struct {
		SKU       string `json:"sku"`
		Requested int    `json:"requested"`
		Available int    `json:"available"`
	}
	reservationResponse struct {
		OrderID   string         `json:"orderId"`
		State     State          `json:"state"`
		Items     []itemJSON     `json:"items"`
		Shortages []shortageJSON `json:"shortages"`
	}
)

// Limits of requests.
const (
	maxName    = 200         // characters
	maxPrice   = 100_000_000 // minor units
	maxRestock = 1_000_000   // pieces in one request
)

var validCurrency = regexp.MustCompile(`^[A-Z]{3}$`)

func (s *Service) putProduct(c *gin.Context) error {
	sku := c.Param("sku")
	var req putProductRequest
	if err := httpapi.DecodeJSON(c, &req); err != nil {
		return err
	}
	if wrong := req.validate(sku); len(wrong) > 0 {
		return httpapi.Unprocessable(wrong...)
	}
	status := http.StatusOK
	p, err := s.transact(c, sku, func(p *Product) ([]contracts.ETO, error) {
		if p.Deleted {
			status = http.StatusCreated
		}
		return p.Put(req.Name, Money(req.Price)), nil
	})
	if err != nil {
		return err
	}
	c.JSON(status, newProductResponse(p))
	return nil
}

func (s *Service) deleteProduct(c *gin.Context) error {
	sku, err := httpapi.PathID(c, "sku")
	if err != nil {
		return err
	}
	if _, err := s.transact(c, sku, (*Product).Delete); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// transact applies the rule to a product in a transaction of its own.
func (s *Service) transact(c *gin.Context, sku string, rule func(*Product) ([]contracts.ETO, error)) (p Product, err error) {
	ctx := c.Request.Context()
	err = database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		p, err = s.changeProduct(ctx, tx, sku, rule)
		return err
	})
	return p, toProblem(err)
}

// restockProduct adds stock once for each Idempotency-Key.
func (s *Service) restockProduct(c *gin.Context) error {
	sku, err := httpapi.PathID(c, "sku")
	if err != nil {
		return err
	}
	var req restockRequest
	if err := httpapi.DecodeJSON(c, &req); err != nil {
		return err
	}
	if req.Quantity < 1 || req.Quantity > maxRestock {
		return httpapi.Unprocessable(httpapi.FieldError{Field: "quantity", Detail: "must be from 1 to 1000000"})
	}
	return httpapi.Idempotent(c, s.db, httpapi.IdempotencyOptions{}, func(ctx context.Context, tx *gorm.DB) (httpapi.Reply, error) {
		p, err := s.changeProduct(ctx, tx, sku, func(p *Product) ([]contracts.ETO, error) { return nil, p.Restock(req.Quantity) })
		if err != nil {
			return httpapi.Reply{}, toProblem(err)
		}
		slog.InfoContext(ctx, "stock received", "sku", sku, "quantity", req.Quantity, "on_hand", p.OnHand)
		return httpapi.Reply{Status: http.StatusCreated, Body: stockResponse{p.SKU, p.OnHand, p.Reserved, p.Available()}}, nil
	})
}

func (s *Service) listProducts(c *gin.Context) error {
	page, err := httpapi.ParsePage(c)
	if err != nil {
		return err
	}
	after := ""
	if page.After != nil {
		after = page.After.Key
	}
	products, err := listProducts(s.db.WithContext(c.Request.Context()), after, page.Fetch())
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, httpapi.NewList(page, products, func(p Product) (productResponse, httpapi.Cursor) {
		return newProductResponse(p), httpapi.Cursor{Key: p.SKU}
	}))
	return nil
}

func (s *Service) getProduct(c *gin.Context) error {
	sku, err := httpapi.PathID(c, "sku")
	if err != nil {
		return err
	}
	p, err := findProduct(s.db.WithContext(c.Request.Context()), sku)
	if err != nil {
		return toProblem(err)
	}
	c.JSON(http.StatusOK, newProductResponse(p))
	return nil
}

func (s *Service) getReservation(c *gin.Context) error {
	orderID, err := httpapi.PathID(c, "orderId")
	if err != nil {
		return err
	}
	r, err := findReservation(s.db.WithContext(c.Request.Context()), orderID)
	if err != nil {
		return toProblem(err)
	}
	response := reservationResponse{OrderID: r.OrderID, State: r.State, Items: []itemJSON{}, Shortages: []shortageJSON{}}
	for _, item := range r.Items {
		response.Items = append(response.Items, itemJSON(item))
	}
	for _, shortage := range r.Shortages {
		response.Shortages = append(response.Shortages, shortageJSON(shortage))
	}
	c.JSON(http.StatusOK, response)
	return nil
}

// validate returns every error in the request.
func (r putProductRequest) validate(sku string) (wrong []httpapi.FieldError) {
	reject := func(field, detail string) { wrong = append(wrong, httpapi.FieldError{Field: field, Detail: detail}) }
	if !httpapi.ValidID(sku) {
		reject("sku", "must be 1 to 64 letters, digits, dots, dashes and underscores, and begin with a letter or a digit")
	}
	if strings.TrimSpace(r.Name) == "" || utf8.RuneCountInString(r.Name) > maxName || strings.ContainsFunc(r.Name, unicode.IsControl) {
		reject("name", "must be 1 to 200 characters, none of them a control character")
	}
	if r.Price.Amount < 1 || r.Price.Amount > maxPrice {
		reject("price.amount", "must be from 1 to 100000000 minor units")
	}
	if !validCurrency.MatchString(r.Price.Currency) {
		reject("price.currency", "must be an ISO 4217 code, such as EUR")
	}
	return wrong
}

// toProblem maps errors of the domain to HTTP.
func toProblem(err error) error {
	switch {
	case errors.Is(err, ErrUnknownProduct), errors.Is(err, errUnknownOrder):
		return httpapi.NotFound(err.Error())
	case errors.Is(err, ErrStockReserved), errors.Is(err, ErrTooMuchStock):
		return httpapi.Conflict(err.Error())
	default:
		return err
	}
}

func newProductResponse(p Product) productResponse {
	return productResponse{
		SKU: p.SKU, Name: p.Name, Price: moneyJSON(p.Price),
		OnHand: p.OnHand, Reserved: p.Reserved, Available: p.Available(), Version: p.Version,
	}
}
