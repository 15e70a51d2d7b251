package shipping

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// postCarrierNotice takes a report of the carrier's: 204 once its facts are stored. Any other answer has the carrier
// repeat it, also one about an order that is not known: it may be known later.
func (s *Service) postCarrierNotice(c *gin.Context) error {
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return chassis.NewProblem(http.StatusRequestEntityTooLarge, "body-too-large", "The body is too large",
				fmt.Sprintf("at most %d bytes", tooLarge.Limit))
		}
		return chassis.BadRequest("the body cannot be read")
	}
	if err := verifySignature(s.secret, c.GetHeader("Carrier-Signature"), body, s.now()); err != nil {
		return chassis.NewProblem(http.StatusUnauthorized, "signature", "The signature is not acceptable", err.Error())
	}
	notice, err := decodeNotice(body)
	if err != nil {
		return err
	}
	err = s.OnCarrierNotice(c.Request.Context(), notice)
	if errors.Is(err, errUnknownOrder) {
		return chassis.NotFound(errUnknownOrder.Error())
	}
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// decodeNotice takes fields that it does not know: the carrier may add some.
func decodeNotice(body []byte) (Notice, error) {
	var n Notice
	if err := json.Unmarshal(body, &n); err != nil {
		return n, chassis.BadRequest("the body is not a notice in JSON")
	}
	malformed := chassis.BadRequest("the notice is malformed")
	refuse := func(field, detail string) {
		malformed.Errors = append(malformed.Errors, chassis.FieldError{Field: field, Detail: detail})
	}
	if n.ID == "" {
		refuse("id", "is missing")
	}
	if n.Type != NoticeDispatched && n.Type != NoticeDelivered {
		refuse("type", "is neither "+string(NoticeDispatched)+" nor "+string(NoticeDelivered))
	}
	if n.Reference == "" {
		refuse("reference", "is missing")
	}
	if n.ShipmentID == "" {
		refuse("shipmentId", "is missing")
	}
	if malformed.Errors != nil {
		return n, malformed
	}
	return n, nil
}
