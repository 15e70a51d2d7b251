// Package telemetry sets up logs, traces and metrics of a process, and carries traces across stored rows.
package telemetry
