// Package otlp receives spans in tests, as an OpenTelemetry collector does: OTLP over HTTP with protobuf bodies, gzipped or
// not. It keeps the spans in memory, finds them by trace or attribute, and lets a test wait for spans that are still to come.
//
// It also searches for secrets in the bytes of each request, so that no field is left out.
package otlp
