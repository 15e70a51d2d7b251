package shipping

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// signatureMaxAge is how old, or how far ahead of this service's clock, a signed webhook may be. It limits how long a
// recorded webhook can be replayed.
const signatureMaxAge = 5 * time.Minute

var errSignature = errors.New("signature is missing, wrong or too old")

// verifySignature checks the header "t=<unix seconds>,v1=<hex>": v1 must be the HMAC-SHA256 of "<t>.<body>" under
// the shared secret. It compares in constant time, and its error does not reveal what exactly is wrong. The header may
// have several v1 while a secret is being rotated; one of them has to match.
func verifySignature(secret, header string, body []byte, now time.Time) error {
	var seconds string
	var given []string
	for part := range strings.SplitSeq(header, ",") {
		switch key, value, _ := strings.Cut(strings.TrimSpace(part), "="); key {
		case "t":
			seconds = value
		case "v1":
			given = append(given, value)
		}
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || secret == "" {
		return errSignature
	}
	if age := now.Sub(time.Unix(unix, 0)); age.Abs() > signatureMaxAge {
		return errSignature
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	want := mac.Sum(nil)
	for _, v1 := range given {
		if got, err := hex.DecodeString(v1); err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return errSignature
}
