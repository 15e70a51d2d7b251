package httpapi

import (
	"regexp"

	"github.com/gin-gonic/gin"
)

// IDPattern matches every id; see [ValidID].
var IDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidID says whether s can be the id of anything: 1 to 64 letters, digits, dots, dashes and underscores, the first a
// letter or a digit. Every database takes such a text, every log and terminal shows it, and a path needs no escapes.
func ValidID(s string) bool { return IDPattern.MatchString(s) }

// PathID returns the part of the path that names something. What cannot be an id names nothing: it is a 404, and the
// database is not asked.
func PathID(c *gin.Context, name string) (string, error) {
	id := c.Param(name)
	if !ValidID(id) {
		return "", NotFound("This cannot be the id of anything.")
	}
	return id, nil
}
