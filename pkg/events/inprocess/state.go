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

// QueueState is the state of the queue of one handler.
type QueueState struct {
	Service      string
	Handler      string
	Waiting      int // events to deliver, including those that are being handled or wait for another attempt
	DeadLettered int // events given up
}

// Queues returns the state of all queues, sorted by name. A queue of an earlier release is included if it holds events.
func (b *Broker) Queues(ctx context.Context) ([]QueueState, error) {
	b.mu.RLock()
	states := map[string]*QueueState{}
	stores := map[string]store{}
	for service, m := range b.members {
		stores[service] = m.store
		for handler := range m.queues {
			states[service+"."+handler] = &QueueState{Service: service, Handler: handler}
		}
	}
	b.mu.RUnlock()

	for service, inbox := range stores {
		var found []QueueState
		err := inbox.read(ctx, func(db *gorm.DB) error {
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
	slices.SortFunc(list, func(x, y QueueState) int {
		return strings.Compare(x.Service+"."+x.Handler, y.Service+"."+y.Handler)
	})
	return list, nil
}

// DeadLetter is an event that is not retried any more.
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

// DeadLetters returns the dead letters of a handler, the oldest first. They stay in the table.
func (b *Broker) DeadLetters(ctx context.Context, service, handler string) ([]DeadLetter, error) {
	m := b.member(service)
	if m == nil {
		return nil, fmt.Errorf("inprocess: dead letters: %w: %s", errNoQueue, service)
	}
	var found []storedEvent
	err := b.storeOf(m).read(ctx, func(db *gorm.DB) error {
		return db.Where("handler = ? and dead_lettered_at is not null", handler).Order("id").Find(&found).Error
	})
	if err != nil {
		return nil, fmt.Errorf("inprocess: dead letters of %s.%s: %w", service, handler, err)
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
