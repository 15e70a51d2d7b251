// Package httpapi is the HTTP side of a service: a gin router with health checks and metrics, RFC 9457 problem details,
// strict JSON decoding, pages of lists, idempotency keys, audit snapshots and the OpenAPI document.
package httpapi
