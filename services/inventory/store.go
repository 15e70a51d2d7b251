package inventory

import (
	"embed"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Migrations holds the migrations of this service's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// A row has the fields of its domain type in the same order, so that Go converts one into the other.
type (
	reservationRow struct {
		OrderID   string `gorm:"primaryKey"`
		State     State
		Items     []Item     `gorm:"serializer:json"`
		Shortages []Shortage `gorm:"serializer:json"`
	}

	productRow struct {
		SKU      string `gorm:"primaryKey"`
		Name     string
		Price    Money `gorm:"embedded;embeddedPrefix:price_"`
		Received int
		OnHand   int
		Reserved int
		Version  int64
		Deleted  bool
	}
)

func (reservationRow) TableName() string { return "reservations" }
func (productRow) TableName() string     { return "products" }

var (
	ifNew     = clause.OnConflict{DoNothing: true}
	forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}
)

// lockAllocation locks the order's reservation, then its products, until tx ends. The reservation of a new order is
// inserted first, because only an existing row can be locked.
func lockAllocation(tx *gorm.DB, orderID string, requested []Item) (allocation, error) {
	row := reservationRow(NewReservation(orderID))
	if err := tx.Clauses(ifNew).Create(&row).Error; err != nil {
		return allocation{}, err
	}
	if err := tx.Clauses(forUpdate).Take(&row).Error; err != nil {
		return allocation{}, err
	}
	items := row.Items
	if row.State == None {
		items = requested
	}
	stock, err := lockStock(tx, items)
	return allocation{Reservation(row), stock}, err
}

// lockStock locks the products of the items until tx ends. All transactions lock products in the order of their SKUs,
// so that two orders for the same products cannot deadlock.
func lockStock(tx *gorm.DB, items []Item) (Stock, error) {
	stock := Stock{}
	if len(items) == 0 {
		return stock, nil
	}
	skus := make([]string, len(items))
	for i, item := range items {
		skus[i] = item.SKU
	}
	var rows []productRow
	if err := tx.Clauses(forUpdate).Where("sku IN ?", skus).Order("sku").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("lock products: %w", err)
	}
	for _, row := range rows {
		stock[row.SKU] = (*Product)(&row)
	}
	return stock, nil
}

func storeAllocation(tx *gorm.DB, a allocation) error {
	row := reservationRow(a.Reservation)
	if err := exactlyOne(tx.Model(&row).Select("State", "Items", "Shortages").Updates(row)); err != nil {
		return err
	}
	for _, p := range a.Stock {
		if err := storeProduct(tx, *p); err != nil {
			return fmt.Errorf("store product %s: %w", p.SKU, err)
		}
	}
	return nil
}

// lockProduct locks the product's row until tx ends. The row of a new SKU is inserted first.
func lockProduct(tx *gorm.DB, sku string) (Product, error) {
	row := productRow(NewProduct(sku))
	if err := tx.Clauses(ifNew).Create(&row).Error; err != nil {
		return Product{}, err
	}
	err := tx.Clauses(forUpdate).Take(&row).Error
	return Product(row), err
}

func storeProduct(tx *gorm.DB, p Product) error {
	row := productRow(p)
	return exactlyOne(tx.Model(&row).
		Select("Name", "price_amount", "price_currency", "Received", "OnHand", "Reserved", "Version", "Deleted").Updates(row))
}

var errUnknownOrder = errors.New("no reservation is known for this order")

// findReservation returns errUnknownOrder if no event about the order has arrived.
func findReservation(db *gorm.DB, orderID string) (Reservation, error) {
	var row reservationRow
	err := db.Take(&row, "order_id = ? AND state <> ?", orderID, None).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = errUnknownOrder
	}
	return Reservation(row), err
}

// findProduct returns ErrUnknownProduct for a SKU that is not in the catalogue.
func findProduct(db *gorm.DB, sku string) (Product, error) {
	var row productRow
	err := db.Take(&row, "sku = ? AND NOT deleted", sku).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = ErrUnknownProduct
	}
	return Product(row), err
}

// listProducts returns at most limit products of the catalogue whose SKU follows after, sorted by SKU.
func listProducts(db *gorm.DB, after string, limit int) ([]Product, error) {
	var rows []productRow
	err := db.Where("sku > ? AND NOT deleted", after).Order("sku").Limit(limit).Find(&rows).Error
	products := make([]Product, len(rows))
	for i, row := range rows {
		products[i] = Product(row)
	}
	return products, err
}

// exactlyOne returns an error if an update of one row changed no row.
func exactlyOne(update *gorm.DB) error {
	if update.Error == nil && update.RowsAffected != 1 {
		return errors.New("locked row not found")
	}
	return update.Error
}
