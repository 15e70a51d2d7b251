// Package checks tests the deployment files without running them: the alert rules of Prometheus, the dashboards of
// Grafana, the compose file, the runbooks, docs/observability.md and the links in docs/ must agree with each other. The
// package consists of tests only.
package checks
