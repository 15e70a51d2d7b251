package reconcile

import "slices"

// Kinds are what there is to find.
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

// rules are all of them. Each is a pure function of one reading.
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
	{kind: Events, from: services, partly: true, judge: eventsTaken},
	{kind: Events, from: services, partly: true, judge: toldOnce},
	{kind: Events, from: []string{Order}, judge: beginAndEndTold},
	{kind: Events, from: services, partly: true, general: true, judge: marksHaveEvents},
	{kind: DeadLetters, from: []string{broker}, general: true, judge: deadLetters},
}

type rule struct {
	kind    string
	from    []string // whose books it needs
	partly  bool     // it judges those that are there
	general bool     // it is not about single orders
	judge   func(s *shop) []Mismatch
}

func (r rule) applies(s *shop) bool {
	if r.general && len(s.only) > 0 {
		return false
	}
	return r.partly || !slices.ContainsFunc(r.from, func(party string) bool { return !s.has(party) })
}

// Mismatch is one thing that does not add up in one reading.
type Mismatch struct {
	Kind, Rule string
	What       string // the sentence that it shares with others of its rule
	Order, SKU string // what it concerns; both empty for an event or a queue
	Detail     string // what is particular about this one; may differ from reading to reading

	ref string // tells it from others with the same order and sentence
	lag bool   // an event that is under way may mend it
}

// key is the same in every reading.
func (m Mismatch) key() string {
	return m.Kind + "|" + m.Rule + "|" + m.What + "|" + m.Order + "|" + m.SKU + "|" + m.ref
}

// judge applies every rule that has the books it needs.
func judge(s *shop) (found []Mismatch) {
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
