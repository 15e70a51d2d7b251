// Package otlp receives spans for tests, as an OpenTelemetry collector does: OTLP over HTTP with protobuf bodies, gzipped
// or not. It keeps them in memory, answers what has come, and lets tests wait for what is to come.
//
// It looks for words that nobody may tell, too: in the bytes as they arrive, so that no field can be forgotten.
package otlp
