package order_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/services/order"
)

// Not parallel: the logger is the process's.
func TestLog_NamesOrderEventAndCorrelation(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(telemetry.NewLogger(&out, slog.LevelInfo, "json"))
	t.Cleanup(func() { slog.SetDefault(before) })
	s := newFixture(t)
	id := s.place(t)
	s.DeliverWith(t, contracts.InventoryReserved{OrderID: id}, eventstest.WithID("event-1"), eventstest.WithCorrelation("flow-1"))
	s.Stop()

	for line := range strings.Lines(out.String()) {
		var said map[string]any
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatal(err)
		}
		if said["msg"] != "order "+string(order.Reserved) {
			continue
		}
		for key, want := range map[string]string{
			"order_id": id, "event_id": "event-1", "event_type": "inventory.reserved.v1", "correlation_id": "flow-1",
		} {
			if said[key] != want {
				t.Errorf("%s is %v, want %s", key, said[key], want)
			}
		}
		return
	}
	t.Errorf("no line says that the order is reserved:\n%s", &out)
}
