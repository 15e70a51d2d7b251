package shipping

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"
)

// sign is the carrier's side, as its documentation puts it.
func sign(secret string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

func TestVerifySignature_AcceptsCarrierOnly(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	const body = `{"id":"n1"}`
	good := sign("secret", now, body)
	digest := good[len("t=1800000000,v1="):]
	for name, c := range map[string]struct {
		secret, header, body string
		ok                   bool
	}{
		"right":                    {"secret", good, body, true},
		"with spaces":              {"secret", "t=1800000000, v1=" + digest, body, true},
		"one of two signatures":    {"secret", "t=1800000000,v1=00,v1=" + digest, body, true},
		"as old as is allowed":     {"secret", sign("secret", now.Add(-signatureMaxAge), body), body, true},
		"too old":                  {"secret", sign("secret", now.Add(-signatureMaxAge-time.Second), body), body, false},
		"too far ahead":            {"secret", sign("secret", now.Add(signatureMaxAge+time.Second), body), body, false},
		"other secret":             {"secret", sign("guess", now, body), body, false},
		"no secret configured":     {"", sign("", now, body), body, false},
		"other body":               {"secret", good, body + " ", false},
		"other time":               {"secret", "t=1800000001,v1=" + digest, body, false},
		"time is no number":        {"secret", "t=now,v1=" + digest, body, false},
		"no time":                  {"secret", "v1=" + digest, body, false},
		"no signature":             {"secret", "t=1800000000", body, false},
		"signature is not hex":     {"secret", "t=1800000000,v1=xyz", body, false},
		"signature is cut short":   {"secret", good[:len(good)-2], body, false},
		"signature of other kind":  {"secret", "t=1800000000,v0=" + digest, body, false},
		"header missing":           {"secret", "", body, false},
		"header is something else": {"secret", "Bearer secret", body, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := verifySignature(c.secret, c.header, []byte(c.body), now); (err == nil) != c.ok {
				t.Errorf("got %v, want accepted %t", err, c.ok)
			}
		})
	}
}
