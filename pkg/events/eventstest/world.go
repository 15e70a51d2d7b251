package eventstest

import (
	"testing"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// World is what the implementer of a transport provides for the conformance suite.
type World interface {
	// Stage makes an empty broker, or a part of one that nothing else uses, with a database for every service that
	// will ask. Everything on it ends with t.
	Stage(t *testing.T) Stage
}

// Stage is where the services of one test meet. Its methods may be called from the test's goroutine only, except
// Depth and DeadLetters. They fail the test if they cannot do what they say.
type Stage interface {
	// Apply declares topologies on the broker. It may be called again, with some that exist already.
	Apply(t testing.TB, topologies ...transport.Topology)

	// Process makes what one instance of a service has: a handle on the service's database, a transport, and a link
	// to each that no other process shares. The first process of a service finds the database empty.
	Process(t testing.TB, service string) Process

	// Observe opens another handle on the service's database, which no fault touches.
	Observe(t testing.TB, service string) *gorm.DB

	// Refuse makes the broker refuse all events of one type, as it would one that is too large. What it did with
	// them otherwise does not matter.
	Refuse(t testing.TB, publisher, eventType string)

	// Depth counts the deliveries that q has still to make, those waiting for another attempt included. Deliveries
	// that a running consumer holds need not be counted.
	Depth(t testing.TB, q transport.Queue) int

	// DeadLetters lists the dead letters of q and leaves them there.
	DeadLetters(t testing.TB, q transport.Queue) []DeadLetter
}

// Process is one instance of a service. The stage closes DB and Transport when the test ends.
type Process struct {
	DB        *gorm.DB
	Transport transport.Transport
	Database  Link // between DB and the database
	Broker    Link // between Transport and the broker
}

// Link connects a process to a server, over TCP through a Proxy or in whatever way the transport has. Its methods
// take effect at once, on what is under way too.
type Link interface {
	// Cut breaks the link: calls under way fail, their outcome unknown, and new ones fail until Restore.
	Cut()
	// StallRequests keeps what the process sends from arriving until Restore; what Cut finds stalled is lost.
	StallRequests()
	// StallAnswers keeps what the server sends from arriving until Restore; what Cut finds stalled is lost.
	StallAnswers()
	// Restore mends the link.
	Restore()
}

// DeadLetter is an event that was given up.
type DeadLetter struct {
	Reason   transport.Reason
	Error    string // text of the last error
	Attempts int
	Body     []byte // as it was published
}
