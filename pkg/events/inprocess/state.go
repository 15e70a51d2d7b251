package inprocess

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// QueueState is what one reaction's queue holds.
type QueueState struct {
	Service      string
	Handler      string
	Waiting      int // to be delivered, those that are being handled or wait for another attempt included
	DeadLettered int // dead letters
}

// Queues tells what the queues of all services that have joined hold, in the order of their names. A queue that is in
// no topology is listed if it holds anything.
func (h *Broker) Queues(ctx context.Context) ([]QueueState, error) {
	h.mu.RLock()
	states := map[string]*QueueState{}
	boxes := map[string]store{}
	for service, m := range h.members {
		boxes[service] = m.store
		for reaction := range m.queues {
			states[service+"."+reaction] = &QueueState{Service: service, Handler: reaction}
		}
	}
	h.mu.RUnlock()

	for service, box := range boxes {
		var found []QueueState
		err := box.read(ctx, func(db *gorm.DB) error {
			return db.Table("stored_inbox").Group("handler").
				Select("handler, count(*) - count(dead_lettered_at) as waiting, count(dead_lettered_at) as dead_lettered").Find(&found).Error
		})
		if err != nil {
			return nil, fmt.Errorf("inprocess: queues of %s: %w", service, err)
		}
		for _, s := range found {
			s.Service = service
			states[service+"."+s.Handler] = &s
		}
	}
	list := make([]QueueState, 0, len(states))
	for _, s := range states {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b QueueState) int {
		return strings.Compare(a.Service+"."+a.Handler, b.Service+"."+b.Handler)
	})
	return list, nil
}

// DeadLetter is an event that was given up.
type DeadLetter struct {
	ID             int64 // of its row in stored_inbox
	EventID        string
	Type           string
	Subject        string
	Body           []byte
	Reason         transport.Reason
	Error          string // text of the last one
	Attempts       int
	FirstFailedAt  time.Time
	DeadLetteredAt time.Time
}

// DeadLetters lists the dead letters of a reaction, the oldest event first. It leaves them where they are.
func (h *Broker) DeadLetters(ctx context.Context, service, reaction string) ([]DeadLetter, error) {
	m := h.member(service)
	if m == nil {
		return nil, fmt.Errorf("inprocess: dead letters: %w: %s", errNotJoined, service)
	}
	var found []storedEvent
	err := h.store(m).read(ctx, func(db *gorm.DB) error {
		return db.Where("handler = ? and dead_lettered_at is not null", reaction).Order("id").Find(&found).Error
	})
	if err != nil {
		return nil, fmt.Errorf("inprocess: dead letters of %s.%s: %w", service, reaction, err)
	}
	list := make([]DeadLetter, 0, len(found))
	for _, e := range found {
		d := DeadLetter{
			ID: e.ID, EventID: e.EventID, Type: e.Type, Subject: e.Subject, Body: []byte(e.Body),
			Reason: transport.Reason(e.DeadLetterReason), Error: e.LastError, Attempts: e.Attempts, DeadLetteredAt: *e.DeadLetteredAt,
		}
		if e.FirstFailedAt != nil {
			d.FirstFailedAt = *e.FirstFailedAt
		}
		list = append(list, d)
	}
	return list, nil
}
