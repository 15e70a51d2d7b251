package reconcile

import "slices"

// Kinds are all kinds of findings.
var Kinds = []string{Money, Parcel, Stock, Unfinished, Outbox, Events, DeadLetters}

// The kinds of findings.
const (
	Money       = "money"
	Parcel      = "parcel"
	Stock       = "stock"
	Unfinished  = "unfinished"
	Outbox      = "outbox"
	Events      = "events"
	DeadLetters = "dead-letters"
)

// rules are all rules. Each is a pure function of one reading.
var rules = []rule{
	{kind: Money, from: []string{Processor}, judge: capturedOnce},
	{kind: Money, from: []string{Order, Processor}, judge: moneyFitsOrder},
	{kind: Money, from: []string{Order, Payment}, judge: paymentEnds},
	{kind: Money, from: []string{Order, Payment, Processor}, judge: paymentAgrees},
	{kind: Parcel, from: []string{Carrier}, judge: oneParcel},
	{kind: Parcel, from: []string{Order, Carrier}, judge: parcelFitsOrder},
	{kind: Parcel, from: []string{Order, Shipping}, judge: shippingEnds},
	{kind: Parcel, from: []string{Order, Shipping, Carrier}, judge: shippingAgrees},
	{kind: Stock, from: []string{Inventory}, general: true, judge: stockAddsUp},
	{kind: Stock, from: []string{Order, Inventory}, judge: stockFitsOrder},
	{kind: Unfinished, from: []string{Order}, judge: unfinished},
	{kind: Outbox, from: services, partly: true, judge: outboxDrains},
	{kind: Events, from: services, partly: true, judge: consumedOnce},
	{kind: Events, from: services, partly: true, judge: publishedOnce},
	{kind: Events, from: []string{Order}, judge: lifecyclePublished},
	{kind: Events, from: services, partly: true, general: true, judge: consumedWerePublished},
	{kind: DeadLetters, from: []string{broker}, general: true, judge: deadLetters},
}

type rule struct {
	kind    string
	from    []string // the snapshots that it needs
	partly  bool     // it checks those snapshots that were read
	general bool     // it is not about single orders, so it does not apply to selected ones
	judge   func(s *reading) []Mismatch
}

func (r rule) applies(s *reading) bool {
	if r.general && len(s.only) > 0 {
		return false
	}
	return r.partly || !slices.ContainsFunc(r.from, func(source string) bool { return !s.has(source) })
}

// Mismatch is one contradiction in one reading.
type Mismatch struct {
	Kind, Rule string
	What       string // a sentence that mismatches of the same rule share
	Order, SKU string // the subject; both are empty for an event or a queue
	Detail     string // about this mismatch only; may differ from reading to reading

	ref string // distinguishes mismatches with the same order and sentence
	lag bool   // an event under way may resolve it
}

// key identifies the mismatch in every reading.
func (m Mismatch) key() string {
	return m.Kind + "|" + m.Rule + "|" + m.What + "|" + m.Order + "|" + m.SKU + "|" + m.ref
}

// judge applies every rule whose snapshots were read.
func judge(s *reading) (found []Mismatch) {
	for _, r := range rules {
		if !r.applies(s) {
			continue
		}
		for _, m := range r.judge(s) {
			m.Kind = r.kind
			found = append(found, m)
		}
	}
	return found
}
