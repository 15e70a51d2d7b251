package order

import (
	"fmt"
	"sync/atomic"

	"gorm.io/gorm"
)

// catalogueCheck checks that the service has received the products that it awaits: those with which a new stack starts.
// Their events may still be on the way when every service runs. A product that has arrived stays known, at least as a
// tombstone, so that the check passes for ever once it has passed.
type catalogueCheck struct {
	awaited []string // SKUs
	passed  atomic.Bool
}

// check returns nil if every awaited product has arrived.
func (c *catalogueCheck) check(tx *gorm.DB) error {
	if c.passed.Load() {
		return nil
	}
	catalogue, err := readCatalogue(tx, c.awaited)
	if err != nil {
		return err
	}
	for _, sku := range c.awaited {
		if _, known := catalogue[sku]; !known {
			return fmt.Errorf("product %q has not arrived", sku)
		}
	}
	c.passed.Store(true)
	return nil
}
