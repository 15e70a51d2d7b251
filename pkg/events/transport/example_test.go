package transport_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// An envelope is a CloudEvent in JSON. The outbox and the queues contain events in this form.
func ExampleEnvelope() {
	body, err := json.Marshal(transport.Envelope{
		Metadata: transport.Metadata{
			ID: "0198f0a2-5e1c-7c3a-9d3e-0f1a2b3c4d5e", Type: "table.booked.v1", Source: "/tables", Subject: "7",
			Time: time.Date(2026, 2, 3, 18, 30, 0, 0, time.UTC), CorrelationID: "evening",
		},
		Data: json.RawMessage(`{"tableId":"7","guests":2}`),
	})
	fmt.Println(string(body), err)
	// Output: {"specversion":"1.0","id":"0198f0a2-5e1c-7c3a-9d3e-0f1a2b3c4d5e","type":"table.booked.v1","source":"/tables","subject":"7","time":"2026-02-03T18:30:00Z","datacontenttype":"application/json","correlationid":"evening","data":{"tableId":"7","guests":2}} <nil>
}
