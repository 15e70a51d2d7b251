package shipping

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// postCarrierWebhook responds 204 once the webhook is applied. After any other response the carrier repeats the webhook,
// also one about an unknown order: the order may arrive later.
func (s *Service) postCarrierWebhook(c *gin.Context) error {
	body, err := httpapi.ReadBody(c)
	if err != nil {
		return err
	}
	if err := verifySignature(s.secret, c.GetHeader("Carrier-Signature"), body, s.now()); err != nil {
		c.Header("WWW-Authenticate", "Carrier-Signature")
		return httpapi.NewProblem(http.StatusUnauthorized, "signature", "The signature is not valid", err.Error())
	}
	webhook, err := decodeCarrierWebhook(c)
	if err != nil {
		slog.WarnContext(c.Request.Context(), "carrier sends a webhook that cannot be understood", "error", err)
		return err
	}
	err = s.OnCarrierWebhook(c.Request.Context(), webhook)
	if errors.Is(err, errUnknownOrder) {
		return httpapi.NotFound(errUnknownOrder.Error())
	}
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

const maxWebhookField = 255 // bytes

func decodeCarrierWebhook(c *gin.Context) (CarrierWebhook, error) {
	var w CarrierWebhook
	if err := httpapi.DecodeWebhook(c, &w); err != nil {
		return w, err
	}
	malformed := httpapi.BadRequest("the webhook is malformed")
	reject := func(field, detail string) {
		malformed.Errors = append(malformed.Errors, httpapi.FieldError{Field: field, Detail: detail})
	}
	if w.Type != WebhookDispatched && w.Type != WebhookDelivered {
		reject("type", "is neither "+string(WebhookDispatched)+" nor "+string(WebhookDelivered))
	}
	for _, field := range []struct{ name, value string }{
		{"id", w.ID}, {"reference", w.Reference}, {"shipmentId", w.ShipmentID}, {"tracking", w.Tracking},
	} {
		switch {
		case field.value == "" && field.name != "tracking":
			reject(field.name, "is missing")
		case len(field.value) > maxWebhookField || strings.ContainsFunc(field.value, unicode.IsControl):
			reject(field.name, fmt.Sprintf("must be at most %d bytes, none of them a control character", maxWebhookField))
		}
	}
	if malformed.Errors != nil {
		return w, malformed
	}
	return w, nil
}
