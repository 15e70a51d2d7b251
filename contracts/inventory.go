package contracts

// InventoryReserved is published when every item of an order has been reserved.
type InventoryReserved struct {
	OrderID string `json:"orderId"`
	Items   []Item `json:"items"`
}

// Shortage is a product of which an order requested more than was available.
type Shortage struct {
	SKU       string `json:"sku"`
	Requested int    `json:"requested"`
	Available int    `json:"available"`
}

// InventoryReservationFailed is published when nothing was reserved for an order, because some products were short.
type InventoryReservationFailed struct {
	OrderID   string     `json:"orderId"`
	Shortages []Shortage `json:"shortages"`
}

// InventoryReleased is published when the reserved stock of an order can be sold again.
type InventoryReleased struct {
	OrderID string `json:"orderId"`
}

// ProductCreated is published when a product has entered the catalogue. Version grows with every change of the product,
// also across its deletion and creation, so that a consumer can ignore an event that is older than its copy.
type ProductCreated struct {
	SKU     string `json:"sku"`
	Name    string `json:"name"`
	Price   Money  `json:"price"`
	Version int64  `json:"version"`
}

// ProductUpdated is published when the name or the price of a product has changed.
type ProductUpdated struct {
	SKU     string `json:"sku"`
	Name    string `json:"name"`
	Price   Money  `json:"price"`
	Version int64  `json:"version"`
}

// ProductDeleted is published when a product has left the catalogue.
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
