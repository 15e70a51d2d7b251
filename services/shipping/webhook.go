package shipping

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// postCarrierNotice takes a report of the carrier's: 204 once its facts are stored. Any other answer has the carrier
// repeat it, also one about an order that is not known: it may be known later.
func (s *Service) postCarrierWebhook(c *gin.Context) error {
	body, err := httpapi.ReadBody(c)
	if err != nil {
		return err
	}
	if err := verifySignature(s.secret, c.GetHeader("Carrier-Signature"), body, s.now()); err != nil {
		c.Header("WWW-Authenticate", "Carrier-Signature")
		return httpapi.NewProblem(http.StatusUnauthorized, "signature", "The signature is not acceptable", err.Error())
	}
	notice, err := decodeCarrierWebhook(body)
	if err != nil {
		return err
	}
	err = s.OnCarrierWebhook(c.Request.Context(), notice)
	if errors.Is(err, errUnknownOrder) {
		return httpapi.NotFound(errUnknownOrder.Error())
	}
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

const maxNoticeField = 255 // bytes

// decodeNotice takes fields that it does not know: the carrier may add some.
func decodeCarrierWebhook(body []byte) (CarrierWebhook, error) {
	var n CarrierWebhook
	if err := json.Unmarshal(body, &n); err != nil {
		return n, httpapi.BadRequest("the body is not a notice in JSON")
	}
	malformed := httpapi.BadRequest("the notice is malformed")
	refuse := func(field, detail string) {
		malformed.Errors = append(malformed.Errors, httpapi.FieldError{Field: field, Detail: detail})
	}
	if n.Type != NoticeDispatched && n.Type != NoticeDelivered {
		refuse("type", "is neither "+string(NoticeDispatched)+" nor "+string(NoticeDelivered))
	}
	for _, field := range []struct{ name, value string }{
		{"id", n.ID}, {"reference", n.Reference}, {"shipmentId", n.ShipmentID}, {"tracking", n.Tracking},
	} {
		switch {
		case field.value == "" && field.name != "tracking":
			refuse(field.name, "is missing")
		case len(field.value) > maxNoticeField || strings.ContainsFunc(field.value, unicode.IsControl):
			refuse(field.name, fmt.Sprintf("must be at most %d bytes, none of them a control character", maxNoticeField))
		}
	}
	if malformed.Errors != nil {
		return n, malformed
	}
	return n, nil
}
