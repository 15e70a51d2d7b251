// Package audit declares the JSON of Bus.WriteAudit: what a service has published, consumed and not yet published. A check
// that compares the snapshots of all services finds every event that was lost.
package audit

import "time"

// Snapshot is the state of one service's outbox and inbox.
type Snapshot struct {
	// Audited reports whether Published is complete; see events.Config.Audit.
	Audited bool `json:"audited"`
	// ConsumedSince is the time before which inbox records may have been purged; see events.InboxConfig.
	ConsumedSince time.Time     `json:"consumedSince"`
	Outbox        []Unpublished `json:"outbox"`
	Published     []Published   `json:"published"`
	Consumed      []Consumed    `json:"consumed"`
}

// Unpublished is an event that the broker has not confirmed.
type Unpublished struct {
	ID          string     `json:"id"`
	Type        string     `json:"type"`
	Subject     string     `json:"subject"`
	CreatedAt   time.Time  `json:"createdAt"`             // the time since which it is due
	AvailableAt *time.Time `json:"availableAt,omitempty"` // the time for which it is scheduled
	ParkedAt    *time.Time `json:"parkedAt,omitempty"`
	Rejections  int        `json:"rejections"`
	LastError   string     `json:"lastError,omitempty"`
}

// Published is an event that the broker has confirmed.
type Published struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
}

// Consumed is an inbox record: the handler has committed the effects of the event.
type Consumed struct {
	Handler string    `json:"handler"`
	EventID string    `json:"eventId"`
	At      time.Time `json:"at"`
}
