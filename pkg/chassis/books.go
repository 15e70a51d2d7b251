package chassis

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Books is what a service answers at /ops/books: everything that it holds and has done, in one snapshot.
type Books struct {
	Service string       `json:"service"`
	At      time.Time    `json:"at"`
	Events  events.Books `json:"events"`
	Entries any          `json:"entries"` // the service's own
}

// ServeBooks adds GET /ops/books. Entries reads the service's own books in tx, the transaction in which those of the
// bus are read as well, so that they agree.
func (r *Router) ServeBooks(db *gorm.DB, bus *events.Bus, entries func(tx *gorm.DB) (any, error)) {
	r.Ops.GET("/books", Handle(func(c *gin.Context) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), booksTime)
		defer cancel()
		books, err := readBooks(ctx, db, bus, entries)
		if err != nil {
			return err
		}
		books.Service = r.service
		c.JSON(http.StatusOK, books)
		return nil
	}))
}

// booksTime is how long reading the books may take: longer than other requests, shorter than the server's patience.
const booksTime = 50 * time.Second

func readBooks(ctx context.Context, db *gorm.DB, bus *events.Bus, entries func(tx *gorm.DB) (any, error)) (books Books, err error) {
	snapshot := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		books.At = time.Now().UTC()
		if books.Events, err = bus.Books(ctx, tx); err != nil {
			return err
		}
		books.Entries, err = entries(tx)
		return err
	}, snapshot)
	return books, err
}
