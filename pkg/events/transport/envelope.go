package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ContentType is the media type of an encoded envelope: CloudEvents 1.0 in structured JSON.
const ContentType = "application/cloudevents+json"

// Metadata are the attributes and extensions of an event, as CloudEvents 1.0 names them.
type Metadata struct {
	ID         string    // UUIDv7; the key of deduplication
	Type       string    // order.created.v1
	Source     string    // /quadrille/order
	Subject    string    // the aggregate's id
	Time       time.Time // when it happened, UTC
	DataSchema string    // URI of the data's schema, may be empty

	CorrelationID string // the business flow
	CausationID   string // the event or request that caused this one
	TenantID      string // whose data it is
	TraceParent   string // W3C trace context of the creation
	TraceState    string
	Sequence      string // the aggregate's version, may be empty
}

// Envelope is an event as it is stored and sent: its metadata and the ETO as JSON.
type Envelope struct {
	Metadata
	Data json.RawMessage
}

// wire is the JSON form. Extensions are lower case without separators, as CloudEvents asks.
type wire struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Type            string          `json:"type"`
	Source          string          `json:"source"`
	Subject         string          `json:"subject,omitempty"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	DataSchema      string          `json:"dataschema,omitempty"`
	CorrelationID   string          `json:"correlationid,omitempty"`
	CausationID     string          `json:"causationid,omitempty"`
	TenantID        string          `json:"tenantid,omitempty"`
	TraceParent     string          `json:"traceparent,omitempty"`
	TraceState      string          `json:"tracestate,omitempty"`
	Sequence        string          `json:"sequence,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// MarshalJSON encodes the envelope in the structured mode of CloudEvents 1.0.
func (e Envelope) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{
		SpecVersion: "1.0", ID: e.ID, Type: e.Type, Source: e.Source, Subject: e.Subject, Time: e.Time.UTC(),
		DataContentType: "application/json", DataSchema: e.DataSchema,
		CorrelationID: e.CorrelationID, CausationID: e.CausationID, TenantID: e.TenantID,
		TraceParent: e.TraceParent, TraceState: e.TraceState, Sequence: e.Sequence, Data: e.Data,
	})
}

// UnmarshalJSON decodes the structured mode of CloudEvents 1.0 with JSON data. Extensions that this package does
// not know are ignored.
func (e *Envelope) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("not a CloudEvent in JSON: %w", err)
	}
	var missing []error
	for name, absent := range map[string]bool{
		"id": w.ID == "", "type": w.Type == "", "source": w.Source == "", "data": w.Data == nil || string(w.Data) == "null",
	} {
		if absent {
			missing = append(missing, fmt.Errorf("attribute %s is missing", name))
		}
	}
	if w.SpecVersion != "1.0" {
		missing = append(missing, fmt.Errorf("specversion is %q, not 1.0", w.SpecVersion))
	}
	if len(missing) > 0 {
		return fmt.Errorf("not a CloudEvent: %w", errors.Join(missing...))
	}
	*e = Envelope{Metadata: Metadata{
		ID: w.ID, Type: w.Type, Source: w.Source, Subject: w.Subject, Time: w.Time, DataSchema: w.DataSchema,
		CorrelationID: w.CorrelationID, CausationID: w.CausationID, TenantID: w.TenantID,
		TraceParent: w.TraceParent, TraceState: w.TraceState, Sequence: w.Sequence,
	}, Data: w.Data}
	return nil
}
