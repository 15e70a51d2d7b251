package transport_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func fullEnvelope() transport.Envelope {
	return transport.Envelope{Data: json.RawMessage(`{"number":7,"orderId":"o-1"}`), Metadata: transport.Metadata{
		ID: "0198f0a2-5e1c-7c3a-9d3e-0f1a2b3c4d5e", Type: "order.created.v1", Source: "/order", Subject: "o-1",
		Time:          time.Date(2026, 2, 3, 4, 5, 6, 789_000_000, time.UTC),
		DataSchema:    "https://example.org/contracts/order.created.v1.json",
		CorrelationID: "flow", CausationID: "cause", TenantID: "acme", Sequence: "3",
		TraceParent: "00-01000000000000000000000000000000-0200000000000000-01", TraceState: "vendor=1",
	}}
}

func TestEnvelope_ReadableByCloudEventsSDK(t *testing.T) {
	t.Parallel()
	want := fullEnvelope()
	body, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got cloudevents.Event
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if err := got.Validate(); err != nil {
		t.Fatal(err)
	}
	extension := func(name string) string {
		s, _ := got.Extensions()[name].(string)
		return s
	}
	if diff := cmp.Diff(want, transport.Envelope{Data: got.Data(), Metadata: transport.Metadata{
		ID: got.ID(), Type: got.Type(), Source: got.Source(), Subject: got.Subject(), Time: got.Time(), DataSchema: got.DataSchema(),
		CorrelationID: extension("correlationid"), CausationID: extension("causationid"), TenantID: extension("tenantid"),
		TraceParent: extension("traceparent"), TraceState: extension("tracestate"), Sequence: extension("sequence"),
	}}); diff != "" {
		t.Error(diff)
	}
	if got.SpecVersion() != "1.0" || got.DataContentType() != "application/json" {
		t.Errorf("specversion %s, datacontenttype %s", got.SpecVersion(), got.DataContentType())
	}
	if transport.ContentType != cloudevents.ApplicationCloudEventsJSON {
		t.Errorf("content type %s", transport.ContentType)
	}
}

func TestEnvelope_ReadsCloudEventsSDK(t *testing.T) {
	t.Parallel()
	want := fullEnvelope()
	e := cloudevents.NewEvent()
	e.SetID(want.ID)
	e.SetType(want.Type)
	e.SetSource(want.Source)
	e.SetSubject(want.Subject)
	e.SetTime(want.Time)
	e.SetDataSchema(want.DataSchema)
	for name, value := range map[string]string{
		"correlationid": want.CorrelationID, "causationid": want.CausationID, "tenantid": want.TenantID,
		"traceparent": want.TraceParent, "tracestate": want.TraceState, "sequence": want.Sequence, "unknown": "ignored",
	} {
		e.SetExtension(name, value)
	}
	if err := e.SetData(cloudevents.ApplicationJSON, map[string]any{"orderId": "o-1", "number": 7}); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var got transport.Envelope
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEnvelope_ReportsEveryMissingField(t *testing.T) {
	t.Parallel()
	var e transport.Envelope
	err := json.Unmarshal([]byte(`{"specversion":"0.3"}`), &e)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"id", "type", "source", "data", `specversion is "0.3"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %s", err, part)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	full, err := json.Marshal(fullEnvelope())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(full), "", "null", "[]", "{}", `{"specversion":"1.0","id":"i","type":"t","source":"s","data":null}`,
		`{"specversion":"1.0","id":"i","type":"t","source":"s","data":"\ud800","time":"x"}`, `{"data":[[[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var first, second transport.Envelope
		if json.Unmarshal(body, &first) != nil {
			return
		}
		again, err := json.Marshal(first)
		if err != nil {
			return // RFC 3339 cannot express the year
		}
		if err := json.Unmarshal(again, &second); err != nil {
			t.Fatalf("%s: cannot be read back: %v", again, err)
		}
		if !first.Time.Equal(second.Time) {
			t.Errorf("time %v became %v", first.Time, second.Time)
		}
		first.Time, second.Time = time.Time{}, time.Time{}
		if diff := cmp.Diff(first.Metadata, second.Metadata); diff != "" {
			t.Error(diff)
		}
	})
}
