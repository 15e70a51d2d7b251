// Package inprocess holds the tests of package pkg/events/inprocess on SQLite and Postgres.
package inprocess
