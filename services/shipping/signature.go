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

// signatureAge is how old, or how far ahead of our clock, a signed notice may be. It bounds for how long a recorded
// one could be sent again.
const signatureAge = 5 * time.Minute

var errSignature = errors.New("the signature is missing, wrong or too old")

// verifySignature checks the header "t=<unix seconds>,v1=<hex>": v1 must be the HMAC-SHA256 of "<t>.<body>" under
// the shared secret. It compares in constant time and says nothing about what exactly is wrong. Several v1 may be
// given while a secret is exchanged; one has to fit.
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
	if age := now.Sub(time.Unix(unix, 0)); age.Abs() > signatureAge {
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
