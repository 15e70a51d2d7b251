package eventstest

import "github.com/quadrille-dev/quadrille/pkg/events"

// The services of the suite: the sender publishes notes, the reader and the scribe handle them.
const (
	senderService = "sender"
	readerService = "reader"
	scribeService = "scribe"
)

// declared lists the events of the suite.
var declared = []events.Declaration{
	{ETO: noteSent{}, Publisher: senderService, Mandatory: true},
	{ETO: noteRevised{}, Publisher: senderService},
	{ETO: notePinned{}, Publisher: senderService},
	{ETO: noteReturned{}, Publisher: readerService, Mandatory: true},
}

// noteSent is handled by the reader and the scribe.
type noteSent struct {
	Note   string `json:"note"`
	Number int    `json:"number"`
	Text   string `json:"text"`
}

func (noteSent) EventType() string { return "note.sent.v1" }
func (n noteSent) Subject() string { return n.Note }

// noteRevised is an event that a test makes the broker reject.
type noteRevised struct {
	Note string `json:"note"`
}

func (noteRevised) EventType() string { return "note.revised.v1" }
func (n noteRevised) Subject() string { return n.Note }

// notePinned has no subscription.
type notePinned struct {
	Note string `json:"note"`
}

func (notePinned) EventType() string { return "note.pinned.v1" }
func (n notePinned) Subject() string { return n.Note }

// noteReturned is published by the handler of noteSent.
type noteReturned struct {
	Note string `json:"note"`
}

func (noteReturned) EventType() string { return "note.returned.v1" }
func (n noteReturned) Subject() string { return n.Note }
