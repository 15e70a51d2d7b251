package eventstest

import "github.com/quadrille-dev/quadrille/pkg/events"

// The suite's story: a sender sends notes, readers read them, and one of them returns them.
const (
	senderService = "sender"
	readerService = "reader"
	scribeService = "scribe"
)

// noteSent has readers.
type noteSent struct {
	Note   string `json:"note"`
	Number int    `json:"number"`
	Text   string `json:"text"`
}

func (noteSent) EventType() string         { return "note.sent.v1" }
func (noteSent) Publisher() string         { return senderService }
func (n noteSent) Subject() string         { return n.Note }
func (noteSent) Audience() events.Audience { return events.Required }

// noteRevised is of a type that the broker can be told to refuse.
type noteRevised struct {
	Note string `json:"note"`
}

func (noteRevised) EventType() string         { return "note.revised.v1" }
func (noteRevised) Publisher() string         { return senderService }
func (n noteRevised) Subject() string         { return n.Note }
func (noteRevised) Audience() events.Audience { return events.Open }

// notePinned is an announcement that nobody reads.
type notePinned struct {
	Note string `json:"note"`
}

func (notePinned) EventType() string         { return "note.pinned.v1" }
func (notePinned) Publisher() string         { return senderService }
func (n notePinned) Subject() string         { return n.Note }
func (notePinned) Audience() events.Audience { return events.Open }

// noteReturned is what a reader answers.
type noteReturned struct {
	Note string `json:"note"`
}

func (noteReturned) EventType() string         { return "note.returned.v1" }
func (noteReturned) Publisher() string         { return readerService }
func (n noteReturned) Subject() string         { return n.Note }
func (noteReturned) Audience() events.Audience { return events.Required }
