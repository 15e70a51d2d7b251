// Package checks tests what is deployed without running it: that Prometheus' rules, Grafana's dashboards, the compose
// file, the runbooks and docs/observability.md agree with each other. It is all tests.
//
// It is outside go.work, so that its dependencies stay out of everyone's.
package checks
