// Package rabbitmq holds the tests of package pkg/events/rabbitmq that need a broker.
package rabbitmq
