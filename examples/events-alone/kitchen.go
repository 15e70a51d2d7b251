package main

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Plates is the one row of the kitchen's database: how many plates are in use.
type Plates struct {
	ID    int `gorm:"primaryKey"`
	InUse int
}

func kitchenReactions() []events.Subscription {
	return []events.Subscription{events.Handle("table-booked", onTableBooked)}
}

// onTableBooked counts plates. Counting is what goes wrong when an event is applied twice; here it cannot be.
func onTableBooked(ctx context.Context, tx *gorm.DB, e events.Received[TableBooked]) error {
	count := clause.OnConflict{
		Columns:   []clause.Column{{Name: "id"}},
		DoUpdates: clause.Assignments(map[string]any{"in_use": gorm.Expr("plates.in_use + ?", e.Event.Guests)}),
	}
	if err := tx.Clauses(count).Create(&Plates{ID: 1, InUse: e.Event.Guests}).Error; err != nil {
		return err
	}
	return events.Publish(ctx, tx, TableLaid{TableID: e.Event.TableID, Plates: e.Event.Guests})
}
