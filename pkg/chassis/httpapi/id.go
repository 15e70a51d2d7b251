package httpapi

import (
	"regexp"

	"github.com/gin-gonic/gin"
)

// IDPattern matches every id; see [ValidID].
var IDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidID reports whether s can be an id: 1 to 64 letters, digits, dots, dashes and underscores, of which the first is a
// letter or a digit. Such a text is safe in every database, log and terminal, and needs no escapes in a path.
func ValidID(s string) bool { return IDPattern.MatchString(s) }

// PathID returns the path parameter with this name. If it is not a valid id, the error is a 404, without a query to the
// database.
func PathID(c *gin.Context, name string) (string, error) {
	id := c.Param(name)
	if !ValidID(id) {
		return "", NotFound("This cannot be the id of anything.")
	}
	return id, nil
}
