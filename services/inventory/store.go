package inventory

import (
	"embed"
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Migrations are this service's tables.
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

// lockReservation answers the order's row, locked until tx ends. If the order is new to us, the row is made first:
// what does not exist cannot be locked.
func lockReservation(tx *gorm.DB, orderID string) (Reservation, error) {
	row := reservationRow(NewReservation(orderID))
	if err := tx.Clauses(ifNew).Create(&row).Error; err != nil {
		return Reservation{}, err
	}
	err := tx.Clauses(forUpdate).Take(&row).Error
	return Reservation(row), err
}

func storeReservation(tx *gorm.DB, r Reservation) error {
	row := reservationRow(r)
	return exactlyOne(tx.Model(&row).Select("State", "Items", "Shortages").Updates(row))
}

var errUnknownOrder = errors.New("nothing is known about this order")

// findReservation answers errUnknownOrder if nothing has happened to the order here.
func findReservation(db *gorm.DB, orderID string) (Reservation, error) {
	var row reservationRow
	err := db.Take(&row, "order_id = ? AND state <> ?", orderID, None).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = errUnknownOrder
	}
	return Reservation(row), err
}

// lockShelf answers the products that the items are about, locked until tx ends. Everybody locks in the same order,
// by SKU, so that two orders for the same products wait for each other but never in a circle.
func lockStock(tx *gorm.DB, items []Item) (Stock, error) {
	shelf := Stock{}
	if len(items) == 0 {
		return shelf, nil
	}
	skus := make([]string, len(items))
	for i, item := range items {
		skus[i] = item.SKU
	}
	var rows []productRow
	if err := tx.Clauses(forUpdate).Where("sku IN ?", skus).Order("sku").Find(&rows).Error; err != nil {
		return nil, err
	}
	for _, row := range rows {
		shelf[row.SKU] = (*Product)(&row)
	}
	return shelf, nil
}

func storeStock(tx *gorm.DB, shelf Stock) error {
	for _, p := range shelf {
		if err := storeProduct(tx, *p); err != nil {
			return err
		}
	}
	return nil
}

// lockProduct answers the product's row, locked until tx ends; it is made first if the SKU is new to us.
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

// findProduct answers ErrUnknownProduct for a SKU that is not in the catalogue.
func findProduct(db *gorm.DB, sku string) (Product, error) {
	var row productRow
	err := db.Take(&row, "sku = ? AND NOT deleted", sku).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = ErrUnknownProduct
	}
	return Product(row), err
}

// listProducts answers at most limit products of the catalogue whose SKU follows after, in order.
func listProducts(db *gorm.DB, after string, limit int) ([]Product, error) {
	var rows []productRow
	err := db.Where("sku > ? AND NOT deleted", after).Order("sku").Limit(limit).Find(&rows).Error
	products := make([]Product, len(rows))
	for i, row := range rows {
		products[i] = Product(row)
	}
	return products, err
}

// exactlyOne turns an update that hit no row, which the database does not mind, into an error.
func exactlyOne(update *gorm.DB) error {
	if update.Error == nil && update.RowsAffected != 1 {
		return errors.New("the locked row is gone")
	}
	return update.Error
}
