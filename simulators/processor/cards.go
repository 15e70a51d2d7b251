package processor

// testCard is the outcome of a charge. With the zero value, the charge succeeds.
type testCard struct {
	code, declineCode, message string
}

func newDecline(declineCode, message string) testCard {
	return testCard{code: "card_declined", declineCode: declineCode, message: message}
}

// testCards are payment methods for tests, with their error codes. Stripe documents them at
// https://docs.stripe.com/testing, except for the declines without "visa", which are short forms. The last three have
// no decline code.
var testCards = map[string]testCard{
	"pm_card_visa":       {},
	"pm_card_visa_debit": {},
	"pm_card_mastercard": {},
	"pm_card_amex":       {},

	"pm_card_visa_chargeDeclined":                      genericDecline,
	"pm_card_chargeDeclined":                           genericDecline,
	"pm_card_visa_chargeDeclinedInsufficientFunds":     insufficientFunds,
	"pm_card_chargeDeclinedInsufficientFunds":          insufficientFunds,
	"pm_card_visa_chargeDeclinedLostCard":              lostCard,
	"pm_card_chargeDeclinedLostCard":                   lostCard,
	"pm_card_visa_chargeDeclinedStolenCard":            stolenCard,
	"pm_card_chargeDeclinedStolenCard":                 stolenCard,
	"pm_card_visa_chargeDeclinedVelocityLimitExceeded": velocityExceeded,
	"pm_card_chargeDeclinedVelocityLimitExceeded":      velocityExceeded,
	"pm_card_chargeDeclinedExpiredCard":                {code: "expired_card", message: "The card has expired."},
	"pm_card_chargeDeclinedIncorrectCvc":               {code: "incorrect_cvc", message: "The card's security code is wrong."},
	"pm_card_chargeDeclinedProcessingError":            {code: "processing_error", message: "The card could not be processed."},
}

var (
	genericDecline    = newDecline("generic_decline", "The card was declined.")
	insufficientFunds = newDecline("insufficient_funds", "The card has insufficient funds.")
	lostCard          = newDecline("lost_card", "The card was declined: it is reported lost.")
	stolenCard        = newDecline("stolen_card", "The card was declined: it is reported stolen.")
	velocityExceeded  = newDecline("card_velocity_exceeded", "The card was declined: it exceeded its velocity limit.")
)
