package contracts

// InventoryReserved says that every item of the order is set aside.
type InventoryReserved struct {
	OrderID string `json:"orderId"`
	Items   []Item `json:"items"`
}

// Shortage is one product that an order wanted more of than there was.
type Shortage struct {
	SKU       string `json:"sku"`
	Requested int    `json:"requested"`
	Available int    `json:"available"`
}

// InventoryReservationFailed says that nothing was set aside, because these items were short.
type InventoryReservationFailed struct {
	OrderID   string     `json:"orderId"`
	Shortages []Shortage `json:"shortages"`
}

// InventoryReleased says that what was set aside for the order can be sold again.
type InventoryReleased struct {
	OrderID string `json:"orderId"`
}

// ProductCreated says that a product entered the catalogue. Version grows with every change of the product, and
// goes on growing if it is deleted and created again, so that a reader can tell an old event from a new one.
type ProductCreated struct {
	SKU     string `json:"sku"`
	Name    string `json:"name"`
	Price   Money  `json:"price"`
	Version int64  `json:"version"`
}

// ProductUpdated says that a product's name or price changed.
type ProductUpdated struct {
	SKU     string `json:"sku"`
	Name    string `json:"name"`
	Price   Money  `json:"price"`
	Version int64  `json:"version"`
}

// ProductDeleted says that a product left the catalogue.
type ProductDeleted struct {
	SKU     string `json:"sku"`
	Version int64  `json:"version"`
}

func (InventoryReserved) EventType() string          { return "inventory.reserved.v1" }
func (InventoryReservationFailed) EventType() string { return "inventory.reservation_failed.v1" }
func (InventoryReleased) EventType() string          { return "inventory.released.v1" }
func (ProductCreated) EventType() string             { return "product.created.v1" }
func (ProductUpdated) EventType() string             { return "product.updated.v1" }
func (ProductDeleted) EventType() string             { return "product.deleted.v1" }

func (e InventoryReserved) Subject() string          { return e.OrderID }
func (e InventoryReservationFailed) Subject() string { return e.OrderID }
func (e InventoryReleased) Subject() string          { return e.OrderID }
func (e ProductCreated) Subject() string             { return e.SKU }
func (e ProductUpdated) Subject() string             { return e.SKU }
func (e ProductDeleted) Subject() string             { return e.SKU }
