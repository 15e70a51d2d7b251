package processor

// testCard is what happens to a charge. The zero value succeeds.
type testCard struct {
	code, declineCode, message string
}

func declined(declineCode, message string) testCard {
	return testCard{code: "card_declined", declineCode: declineCode, message: message}
}

// testCards are the payment methods that Stripe documents for tests at https://docs.stripe.com/testing, with the codes
// given there: the last three have no decline code. Those without "visa" in the name of a decline are short forms.
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
	"pm_card_visa_chargeDeclinedVelocityLimitExceeded": tooOften,
	"pm_card_chargeDeclinedVelocityLimitExceeded":      tooOften,
	"pm_card_chargeDeclinedExpiredCard":                {code: "expired_card", message: "The card has expired."},
	"pm_card_chargeDeclinedIncorrectCvc":               {code: "incorrect_cvc", message: "The card's security code is wrong."},
	"pm_card_chargeDeclinedProcessingError":            {code: "processing_error", message: "The card could not be processed."},
}

var (
	genericDecline    = declined("generic_decline", "The card was declined.")
	insufficientFunds = declined("insufficient_funds", "The card has insufficient funds.")
	lostCard          = declined("lost_card", "The card was declined: it was reported lost.")
	stolenCard        = declined("stolen_card", "The card was declined: it was reported stolen.")
	tooOften          = declined("card_velocity_exceeded", "The card was declined: it was used too often or for too much.")
)
