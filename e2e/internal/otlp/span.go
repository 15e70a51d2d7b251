package otlp

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span has the parts of a span that tests need. A received span must not be changed.
type Span struct {
	Trace, ID  string // in hexadecimal
	Parent     string // "" for a root
	Service    string // service.name of its resource
	Name       string
	Kind       Kind
	Start, End time.Time
	Failed     bool
	Links      []Link

	attributes []attribute // sorted by key
}

// Link refers to another span, of the same trace or of another one.
type Link struct {
	Trace, ID string
	Reason    string // the attribute events.link.reason
}

// Kind is the kind of a span.
type Kind string

// The kinds of spans.
const (
	Internal Kind = "internal"
	Server   Kind = "server"
	Client   Kind = "client"
	Producer Kind = "producer"
	Consumer Kind = "consumer"
)

// attribute has interned strings, because thousands of spans have the same attributes.
type attribute struct{ key, value unique.Handle[string] }

// Attribute returns the value of an attribute as text, or "" if there is none.
func (s *Span) Attribute(key string) string {
	i, found := slices.BinarySearchFunc(s.attributes, key, func(a attribute, key string) int {
		return strings.Compare(a.key.Value(), key)
	})
	if !found {
		return ""
	}
	return s.attributes[i].value.Value()
}

// LinksTo reports whether one of the span's links refers to other.
func (s *Span) LinksTo(other *Span) bool {
	return slices.ContainsFunc(s.Links, func(l Link) bool { return l.Trace == other.Trace && l.ID == other.ID })
}

// With returns a copy of the span with additional attributes, given as alternating keys and values.
func (s *Span) With(keysAndValues ...string) *Span {
	with := *s
	with.attributes = slices.Clone(s.attributes)
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		key := unique.Make(keysAndValues[i])
		with.attributes = slices.DeleteFunc(with.attributes, func(a attribute) bool { return a.key == key })
		with.attributes = append(with.attributes, attribute{key, unique.Make(keysAndValues[i+1])})
	}
	with.sortAttributes()
	return &with
}

func (s *Span) sortAttributes() {
	slices.SortFunc(s.attributes, func(a, b attribute) int { return strings.Compare(a.key.Value(), b.key.Value()) })
}

func toSpan(service string, p *tracepb.Span) *Span {
	s := &Span{
		Trace: hex.EncodeToString(p.TraceId), ID: hex.EncodeToString(p.SpanId), Parent: hex.EncodeToString(p.ParentSpanId),
		Service: service, Name: unique.Make(p.Name).Value(), Kind: toKind(p.Kind),
		Start: time.Unix(0, int64(p.StartTimeUnixNano)), End: time.Unix(0, int64(p.EndTimeUnixNano)),
		Failed: p.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
	}
	for _, l := range p.Links {
		link := Link{Trace: hex.EncodeToString(l.TraceId), ID: hex.EncodeToString(l.SpanId)}
		for _, a := range l.Attributes {
			if a.Key == "events.link.reason" {
				link.Reason = text(a.Value)
			}
		}
		s.Links = append(s.Links, link)
	}
	for _, a := range p.Attributes {
		s.attributes = append(s.attributes, attribute{unique.Make(a.Key), unique.Make(text(a.Value))})
	}
	s.sortAttributes()
	return s
}

func toKind(k tracepb.Span_SpanKind) Kind {
	switch k {
	case tracepb.Span_SPAN_KIND_SERVER:
		return Server
	case tracepb.Span_SPAN_KIND_CLIENT:
		return Client
	case tracepb.Span_SPAN_KIND_PRODUCER:
		return Producer
	case tracepb.Span_SPAN_KIND_CONSUMER:
		return Consumer
	default:
		return Internal
	}
}

func text(v *commonpb.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *commonpb.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}
