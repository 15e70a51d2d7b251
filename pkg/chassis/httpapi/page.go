package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	defaultPageLimit = 20
	maxPageLimit     = 100
)

// Cursor is the position of a row in a list. Key is an id, see [ValidID]. Lists in the order of time use both fields, other
// lists the key alone. For clients it is an opaque string.
type Cursor struct {
	Time time.Time `json:"t,omitzero"`
	Key  string    `json:"k"`
}

// Page is the part of a list that a client requests.
type Page struct {
	// Limit is the largest number of items. Default 20, at most 100.
	Limit int
	// After is the last row of the page before, nil for the first page.
	After *Cursor
}

// ParsePage reads the query parameters limit and cursor. A bad one is a 400 that names it.
func ParsePage(c *gin.Context) (Page, error) {
	page := Page{Limit: defaultPageLimit}
	if raw := c.Query("limit"); raw != "" {
		limit, err := strconv.Atoi(raw)
		if err != nil || limit < 1 || limit > maxPageLimit {
			return Page{}, BadRequest("", FieldError{"limit", fmt.Sprintf("must be a number from 1 to %d", maxPageLimit)})
		}
		page.Limit = limit
	}
	if raw := c.Query("cursor"); raw != "" {
		text, err := base64.RawURLEncoding.DecodeString(raw)
		if err == nil {
			err = json.Unmarshal(text, &page.After)
		}
		if err != nil || page.After == nil || !ValidID(page.After.Key) {
			return Page{}, BadRequest("", FieldError{"cursor", "must be the nextCursor of an earlier response"})
		}
	}
	return page, nil
}

// Fetch returns how many rows to query: one more than Limit, which shows whether there is another page.
func (p Page) Fetch() int { return p.Limit + 1 }

// List is the JSON of one page.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"nextCursor,omitempty"`
}

// NewList returns the list for up to page.Fetch() rows. view converts a row into an item and returns its position.
func NewList[Row, Item any](page Page, rows []Row, view func(Row) (Item, Cursor)) List[Item] {
	list := List[Item]{Items: make([]Item, 0, min(len(rows), page.Limit))}
	for i, row := range rows[:min(len(rows), page.Limit)] {
		item, position := view(row)
		list.Items = append(list.Items, item)
		if i == page.Limit-1 && len(rows) > page.Limit {
			list.NextCursor = position.encode()
		}
	}
	return list
}

func (c Cursor) encode() string {
	text, err := json.Marshal(c)
	if err != nil {
		// Only a year after 9999 cannot be marshalled.
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
