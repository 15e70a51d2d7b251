package inprocess

import (
	"context"
	"fmt"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// publish implements Transport.Publish.
func (b *Broker) publish(ctx context.Context, msgs []transport.Message) []error {
	outcomes := make([]error, len(msgs))
	batches := map[*member]*batch{}
	var order []*batch
	now := b.cfg.Now().UTC()
	for i, m := range msgs {
		targets, err := b.route(m)
		if err != nil {
			outcomes[i] = err
			continue
		}
		for _, target := range targets {
			bt := batches[target.member]
			if bt == nil {
				bt = &batch{store: b.storeOf(target.member), subjects: map[*queue][]string{}}
				batches[target.member] = bt
				order = append(order, bt)
			}
			bt.subjects[target.queue] = append(bt.subjects[target.queue], m.Subject)
			bt.messages = append(bt.messages, i)
			bt.events = append(bt.events, storedEvent{
				Handler: target.queue.handler, EventID: m.ID, Type: m.Type, Subject: m.Subject, Body: string(m.Body),
				ReceivedAt: now, DueAt: now,
			})
		}
	}
	for _, bt := range order {
		bt.insert(ctx, outcomes)
	}
	return outcomes
}

// target is a queue that a message is for, and its service.
type target struct {
	member *member
	queue  *queue
}

// route returns the queues that a message is for.
func (b *Broker) route(msg transport.Message) ([]target, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	publisher := b.members[msg.Publisher]
	if publisher == nil {
		return nil, fmt.Errorf("%w: service %s has not declared its topology", transport.ErrUnroutable, msg.Publisher)
	}
	name := transport.EventName(msg.Type)
	var targets []target
	for _, bound := range publisher.bindings {
		if bound.Event != name {
			continue
		}
		m := b.members[bound.Service]
		if m == nil {
			return nil, fmt.Errorf("inprocess: %s.%s is bound to this event, but service %s has not declared its topology",
				bound.Service, bound.Handler, bound.Service)
		}
		q := m.queues[bound.Handler]
		if q == nil { // a queue of an earlier release receives, but has no consumer
			q = b.newQueue(m, bound.Handler)
		}
		targets = append(targets, target{m, q})
	}
	if len(targets) == 0 && msg.Mandatory {
		return nil, fmt.Errorf("%w: no subscription to %s of %s", transport.ErrUnroutable, name, msg.Publisher)
	}
	return targets, nil
}

// batch is what one service receives of the messages that are published together.
type batch struct {
	store    store
	subjects map[*queue][]string
	events   []storedEvent
	messages []int // the message that each event comes from
}

// insert stores all events, or each by itself if the database rejects one of them. It adds to the outcomes.
func (bt *batch) insert(ctx context.Context, outcomes []error) {
	err := bt.store.insert(ctx, bt.events)
	if err != nil && rejected(err) {
		for i := range bt.events {
			bt.events[i].ID = 0
			bt.addOutcome(outcomes, i, bt.store.insert(ctx, bt.events[i:i+1]))
		}
	} else {
		for i := range bt.events {
			bt.addOutcome(outcomes, i, err)
		}
	}
	for q, subjects := range bt.subjects {
		q.notify(subjects...)
	}
}

// addOutcome adds the error of an event to the outcome of its message. An unknown outcome takes precedence over a
// rejection, because the message must be sent again in any case.
func (bt *batch) addOutcome(outcomes []error, event int, err error) {
	if err == nil {
		return
	}
	outcome := &outcomes[bt.messages[event]]
	handler := bt.events[event].Handler
	switch {
	case !rejected(err):
		*outcome = fmt.Errorf("inprocess: store for %s: %w", handler, err)
	case *outcome == nil:
		*outcome = fmt.Errorf("%w: store for %s: %w", transport.ErrRejected, handler, err)
	}
}
