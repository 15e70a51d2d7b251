package events

import (
	"fmt"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// DeadLetter describes an event that has become a dead letter. Config.OnDeadLetter receives it.
type DeadLetter struct {
	Queue    transport.Queue
	Metadata Metadata // zero if the envelope could not be decoded
	Body     []byte
	Reason   transport.Reason
	Attempts int // without deliveries that were lost, such as those that crashed the process
	Err      error
}

// Error describes the dead letter in one line.
func (d DeadLetter) Error() string {
	return fmt.Sprintf("%s: dead letter (%s, attempt %d): %v", d.Queue, d.Reason, d.Attempts, d.Err)
}
