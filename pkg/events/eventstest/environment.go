package eventstest

import (
	"testing"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Environment is a broker and the databases of the services of one test. Its methods are called from the goroutine of the
// test only, except Depth and DeadLetters. They fail the test on an error.
type Environment interface {
	// Declare declares topologies on the broker. It may be called again with topologies that are declared already.
	Declare(t testing.TB, topologies ...transport.Topology)

	// Process returns what one instance of a service has: a handle on the service's database, a transport, and a link to
	// each that no other process shares. For the first process of a service the database is empty.
	Process(t testing.TB, service string) Process

	// OpenDatabase opens another handle on the service's database, which no link affects.
	OpenDatabase(t testing.TB, service string) *gorm.DB

	// Reject makes the broker reject all events of one type, as it would reject one that is too large.
	Reject(t testing.TB, publisher, eventType string)

	// Corrupt puts messages into q that no transport publishes but another program may: their bodies are those of valid
	// with an id, everything around them is forged, out of range or undecodable. It returns the reason for which each
	// becomes a dead letter if its handler always fails, by id.
	Corrupt(t testing.TB, q transport.Queue, valid func(id string) transport.Message) map[string]transport.Reason

	// Depth returns the number of events that q has to deliver, including those that wait for another attempt. It may
	// leave out events that a consumer is handling.
	Depth(t testing.TB, q transport.Queue) int

	// DeadLetters returns the dead letters of q. They stay there.
	DeadLetters(t testing.TB, q transport.Queue) []DeadLetter
}

// Process is one instance of a service. The environment closes DB and Transport when the test ends.
type Process struct {
	DB        *gorm.DB
	Transport transport.Transport
	Database  Link // between DB and the database
	Broker    Link // between Transport and the broker
}

// Link connects a process to a server, over TCP through a Proxy or by other means. Its methods take effect at once, on
// calls in progress as well.
type Link interface {
	// Cut breaks the link: calls in progress fail with an unknown outcome, and new ones fail until Restore.
	Cut()
	// StallRequests delays what the process sends until Restore. Cut discards what is delayed.
	StallRequests()
	// StallResponses delays what the server sends until Restore. Cut discards what is delayed.
	StallResponses()
	// Restore repairs the link.
	Restore()
}

// DeadLetter is an event that is not retried any more.
type DeadLetter struct {
	Reason   transport.Reason
	Error    string // text of the last error
	Attempts int
	Body     []byte // as it was published
}
