package order

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/quadrille-dev/quadrille/pkg/chassis/aggregate"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Migrations holds the migrations of this service's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// errUnknownOrder means that no order has the id.
var errUnknownOrder = errors.New("unknown order")

// orderRow is an order, and what follows from it, for searches.
type orderRow struct {
	Order           orderColumns `gorm:"embedded"`
	State           State
	WaitsForCarrier bool
	Origin          origin `gorm:"embedded"`
}

// origin is the trace and the flow of the request that placed an order.
type origin struct {
	TraceParent   string
	CorrelationID string
}

// orderColumns has the fields of Order in the same order, so that Go converts one into the other.
type orderColumns struct {
	ID         string `gorm:"primaryKey"`
	CustomerID string
	Items      []Item  `gorm:"serializer:json"`
	Total      Money   `gorm:"embedded;embeddedPrefix:total_"`
	ShipTo     Address `gorm:"serializer:json"`
	PlacedAt   time.Time

	Observed     `gorm:"embedded"`
	Confirmed    bool
	Reason       Reason
	WaitingSince time.Time
	Stalled      bool

	PaymentMethod string `gorm:"-"`
	PaymentID     string
	DeclineCode   string
	Refunded      bool
	ShipmentID    string
	Tracking      string

	Version int64
}

func (orderRow) TableName() string { return "orders" }

type productRow struct {
	SKU     string `gorm:"primaryKey;column:sku"`
	Name    string
	Price   Money `gorm:"embedded;embeddedPrefix:price_"`
	Version int64
	Deleted bool
}

func (productRow) TableName() string { return "products" }

func (r orderRow) toOrder() *Order {
	o := Order(r.Order)
	o.PlacedAt, o.WaitingSince = o.PlacedAt.UTC(), o.WaitingSince.UTC()
	return &o
}

func newOrderRow(o *Order) orderRow {
	return orderRow{Order: orderColumns(*o), State: o.State(), WaitsForCarrier: o.WaitsForCarrier()}
}

// storeChange inserts a new order, or updates what rules may change, and adds the entries to the order's history.
func storeChange(ctx context.Context, tx *gorm.DB, c *aggregate.Change[Order], entries []HistoryEntry) error {
	var err error
	if c.Before.Version == 0 {
		err = insertOrder(ctx, tx, &c.After)
	} else {
		err = updateOrder(tx, &c.After, c.Before.Version)
	}
	if err != nil || len(entries) == 0 {
		return err
	}
	if err := tx.Create(&entries).Error; err != nil {
		return fmt.Errorf("insert history: %w", err)
	}
	return nil
}

func insertOrder(ctx context.Context, tx *gorm.DB, o *Order) error {
	row := newOrderRow(o)
	row.Origin = origin{TraceParent: telemetry.TraceParent(ctx), CorrelationID: events.CorrelationID(ctx)}
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("insert order: %w", err)
	}
	return nil
}

// lockOrder reads an order and locks its row until tx ends.
func lockOrder(tx *gorm.DB, id string) (Order, error) {
	o, err := findOrder(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}), id)
	if err != nil {
		return Order{}, err
	}
	return *o, nil
}

// findOrder returns errUnknownOrder also for a string that cannot be an id.
func findOrder(tx *gorm.DB, id string) (*Order, error) {
	if !httpapi.ValidID(id) {
		return nil, fmt.Errorf("order %q: %w", id, errUnknownOrder)
	}
	var row orderRow
	err := tx.Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, fmt.Errorf("order %s: %w", id, errUnknownOrder)
	}
	if err != nil {
		return nil, fmt.Errorf("read order %s: %w", id, err)
	}
	return row.toOrder(), nil
}

// findOrigin returns the order's origin, or a zero origin if there is no such order.
func findOrigin(tx *gorm.DB, id string) (origin, error) {
	if !httpapi.ValidID(id) {
		return origin{}, nil
	}
	var rows []orderRow
	if err := tx.Select("trace_parent", "correlation_id").Where("id = ?", id).Find(&rows).Error; err != nil {
		return origin{}, fmt.Errorf("read origin of order %s: %w", id, err)
	}
	if len(rows) == 0 {
		return origin{}, nil
	}
	return rows[0].Origin, nil
}

// changing lists the columns that rules may change. The items and the total stay.
var changing = []string{
	"reserved", "paid", "dispatched", "delivered", "shipment_failed", "cancelled", "customer_asked", "deadline_asked",
	"state", "waits_for_carrier", "confirmed", "reason", "waiting_since", "stalled", "payment_id", "decline_code", "refunded", "shipment_id",
	"tracking", "version",
}

// updateOrder writes what rules may change, if the order still has the version that was read.
func updateOrder(tx *gorm.DB, o *Order, wasVersion int64) error {
	r := tx.Model(&orderRow{}).Where("id = ? AND version = ?", o.ID, wasVersion).Select(changing).Updates(newOrderRow(o))
	if r.Error != nil {
		return fmt.Errorf("update order: %w", r.Error)
	}
	if r.RowsAffected != 1 {
		return fmt.Errorf("update order: version %d not found", wasVersion)
	}
	return nil
}

// readHistory returns the history of an order, oldest entry first.
func readHistory(tx *gorm.DB, id string) ([]HistoryEntry, error) {
	var entries []HistoryEntry
	if err := tx.Where("order_id = ?", id).Order("at, position").Find(&entries).Error; err != nil {
		return nil, fmt.Errorf("read history of order %s: %w", id, err)
	}
	return entries, nil
}

// orderFilter selects orders. An empty field does not restrict.
type orderFilter struct {
	CustomerID string
	State      State
	Before     string // an order's id; only older orders are selected
	Limit      int
}

// listOrders returns the newest orders first.
func listOrders(tx *gorm.DB, f orderFilter) ([]*Order, error) {
	q := tx.Order("id DESC").Limit(f.Limit)
	if f.CustomerID != "" {
		q = q.Where("customer_id = ?", f.CustomerID)
	}
	if f.State != "" {
		q = q.Where("state = ?", f.State)
	}
	if f.Before != "" {
		q = q.Where("id < ?", f.Before)
	}
	return findAll(q)
}

// waitingFilter selects orders that have not ended.
type waitingFilter struct {
	Stalled bool
	After   *httpapi.Cursor // the last order of the previous page, if any
	Limit   int
}

// listWaiting returns the orders with the longest wait first.
func listWaiting(tx *gorm.DB, f waitingFilter) ([]*Order, error) {
	q := tx.Where("state NOT IN ?", []State{Completed, Cancelled})
	if f.Stalled {
		q = q.Where("stalled")
	}
	if f.After != nil {
		q = q.Where("(waiting_since, id) > (?, ?)", f.After.Time, f.After.Key)
	}
	return findAll(q.Order("waiting_since, id").Limit(f.Limit))
}

// overdueFilter selects orders that are not stalled and have waited since before Since, for the carrier or for a service.
type overdueFilter struct {
	ForCarrier bool
	Since      time.Time
	After      *Order // the last order of the previous page, if any
	Limit      int
}

// listOverdue returns the orders with the longest wait first.
func listOverdue(tx *gorm.DB, f overdueFilter) ([]*Order, error) {
	q := tx.Where("state NOT IN ? AND NOT stalled", []State{Completed, Cancelled}).
		Where("waits_for_carrier = ? AND waiting_since < ?", f.ForCarrier, f.Since)
	if f.After != nil {
		q = q.Where("(waiting_since, id) > (?, ?)", f.After.WaitingSince, f.After.ID)
	}
	return findAll(q.Order("waiting_since, id").Limit(f.Limit))
}

// openGroup is the number of orders that have not ended and have observed the same facts.
type openGroup struct {
	Observed `gorm:"embedded"`
	Booked   bool
	Stalled  bool
	Count    int64
}

// toOrder returns an order of the group, with the fields that are known.
func (g openGroup) toOrder() *Order {
	o := &Order{Observed: g.Observed, Stalled: g.Stalled}
	if g.Booked {
		o.ShipmentID = "booked"
	}
	return o
}

func countOpen(tx *gorm.DB) ([]openGroup, error) {
	const observed = "reserved, paid, dispatched, delivered, shipment_failed, cancelled, customer_asked, deadline_asked, stalled"
	var groups []openGroup
	err := tx.Model(&orderRow{}).Where("state NOT IN ?", []State{Completed, Cancelled}).
		Select(observed + ", shipment_id <> '' AS booked, count(*) AS count").Group(observed + ", shipment_id <> ''").Scan(&groups).Error
	if err != nil {
		return nil, fmt.Errorf("count open orders: %w", err)
	}
	return groups, nil
}

func findAll(q *gorm.DB) ([]*Order, error) {
	var rows []orderRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	orders := make([]*Order, len(rows))
	for i, r := range rows {
		orders[i] = r.toOrder()
	}
	return orders, nil
}

// readCatalogue returns the copies of the known products, including deleted ones, by SKU.
func readCatalogue(tx *gorm.DB, skus []string) (map[string]Product, error) {
	var rows []productRow
	if err := tx.Where("sku IN ?", skus).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	catalogue := make(map[string]Product, len(rows))
	for _, r := range rows {
		catalogue[r.SKU] = Product(r)
	}
	return catalogue, nil
}

// storeProduct stores the copy of a product, unless a newer version is stored.
func storeProduct(tx *gorm.DB, p Product) error {
	row := productRow(p)
	err := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "sku"}},
		DoUpdates: clause.AssignmentColumns([]string{"name", "price_amount", "price_currency", "version", "deleted"}),
		Where:     clause.Where{Exprs: []clause.Expression{gorm.Expr("products.version < excluded.version")}},
	}).Create(&row).Error
	if err != nil {
		return fmt.Errorf("store product %s, version %d: %w", p.SKU, p.Version, err)
	}
	return nil
}
