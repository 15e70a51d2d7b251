package events_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func ignore(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }

func TestNew_AcceptsDefaults(t *testing.T) {
	t.Parallel()
	newBus(t, open(t, testservers.Database(t)), eventstest.NewTransport(), events.Config{Service: "order", Events: declared}, events.Handle("order-created", ignore))
}

func TestNew_RejectsSecondBusOnOneHandle(t *testing.T) {
	t.Parallel()
	db := open(t, testservers.Database(t))
	newBus(t, db, eventstest.NewTransport(), config())
	if _, err := events.New(db, eventstest.NewTransport(), config()); err == nil {
		t.Error("accepted")
	}
}

// incomplete is a transport without its topology until the channel is closed.
type incomplete struct {
	*eventstest.Transport
	complete chan struct{}
}

func (tr incomplete) Check(context.Context, transport.Topology) error {
	select {
	case <-tr.complete:
		return nil
	default:
		return transport.ErrTopology
	}
}

func TestBus_ConsumesOnceTopologyIsComplete(t *testing.T) {
	t.Parallel()
	db, tr := database(t), incomplete{eventstest.NewTransport(), make(chan struct{})}
	bus := newBus(t, db, tr, config(), events.Handle("order-created", ignore))
	eventstest.Start(t, bus)
	publish(t, db, orderCreated{OrderID: "o"})
	tr.WaitFor(t, "order.created.v1", "o") // the relay does not wait for the topology
	if err := bus.Ready(t.Context()); err == nil {
		t.Error("ready without a topology")
	}
	close(tr.complete)
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Ack {
		t.Errorf("outcome %+v", v)
	}
	eventually(t, "ready", func() bool { return bus.Ready(t.Context()) == nil })
}

func TestBus_NotReadyWhileBrokerIsUnavailable(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	tr.Outcome(func(transport.Message) error { return errLost })
	bus := newBus(t, db, tr, config())
	eventstest.Start(t, bus)
	publish(t, db, orderCreated{OrderID: "o"})
	eventually(t, "not ready", func() bool { return bus.Ready(t.Context()) != nil })
	tr.Outcome(nil)
	eventually(t, "ready", func() bool { return bus.Ready(t.Context()) == nil })
}

func TestReady_SendsNothingToBroker(t *testing.T) {
	t.Parallel()
	tr := &unreachable{Transport: eventstest.NewTransport()}
	tr.available.Store(true)
	bus := newBus(t, database(t), tr, config(), events.Handle("order-created", ignore))
	eventstest.Start(t, bus)
	eventually(t, "ready", func() bool { return bus.Ready(t.Context()) == nil })
	before, start := tr.checks.Load(), time.Now()
	for range 100 {
		if err := bus.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := tr.checks.Load() - before; n > 1+int32(time.Since(start)/time.Second) {
		t.Errorf("%d checks of the broker for 100 calls of Ready in %v", n, time.Since(start))
	}
	tr.available.Store(false)
	eventually(t, "not ready without broker", func() bool { return errors.Is(bus.Ready(t.Context()), errLost) })
	tr.available.Store(true)
	eventually(t, "ready again", func() bool { return bus.Ready(t.Context()) == nil })
}

func TestBus_RunsOnce(t *testing.T) {
	t.Parallel()
	bus := newBus(t, database(t), eventstest.NewTransport(), config())
	stop := eventstest.Start(t, bus)
	stop()
	if err := bus.Run(t.Context()); err == nil {
		t.Error("a second Run was accepted")
	}
}

func TestBus_EndsWhenTransportFails(t *testing.T) {
	t.Parallel()
	tr := givesUp{eventstest.NewTransport()}
	bus := newBus(t, database(t), tr, config(), events.Handle("order-created", ignore))
	if err := bus.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("got %v", err)
	}
}

type givesUp struct{ *eventstest.Transport }

func (givesUp) Consume(context.Context, []transport.Consumer) error { return errors.New("no more") }
