package main

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Table is a row of the tables' database.
type Table struct {
	ID     string `gorm:"primaryKey"`
	Guests int
	Laid   bool
}

// book stores a booking and tells of it, in one transaction. Booking a table again changes nothing.
func book(ctx context.Context, db *gorm.DB, id string, guests int) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		done := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&Table{ID: id, Guests: guests})
		if done.Error != nil || done.RowsAffected == 0 {
			return done.Error
		}
		return events.Publish(ctx, tx, TableBooked{TableID: id, Guests: guests})
	})
}

func tablesReactions() []events.Subscription {
	return []events.Subscription{events.Handle("table-laid", onTableLaid)}
}

func onTableLaid(_ context.Context, tx *gorm.DB, e events.Received[TableLaid]) error {
	done := tx.Model(&Table{}).Where("id = ?", e.Event.TableID).Update("laid", true)
	if done.Error == nil && done.RowsAffected == 0 {
		return events.Permanent(fmt.Errorf("nobody booked table %s", e.Event.TableID))
	}
	return done.Error
}
