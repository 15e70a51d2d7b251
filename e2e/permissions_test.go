package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	amqp "github.com/rabbitmq/amqp091-go"
)

// The other tests show that the permissions are sufficient. These tests show what they do not allow. The embedded stack has
// no servers, so that the tests have nothing to check.

func TestBroker_DeniesAccessToOtherServices(t *testing.T) {
	t.Parallel()
	for user, address := range stack.Servers.Broker {
		conn, err := dial(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		denied := func(what string, do func(*amqp.Channel) error) {
			t.Helper()
			ch, err := conn.Channel() // the broker closes it when it denies access
			if err != nil {
				t.Fatal(err)
			}
			denial, ok := errors.AsType[*amqp.Error](do(ch))
			if !ok || denial.Code != amqp.AccessRefused {
				t.Errorf("%s may %s: %v", user, what, denial)
			}
		}
		for _, service := range serviceNames {
			if user != service {
				denied("publish events of "+service, publishTo(service+".events"))
				denied("publish retries of "+service, publishTo(service+".retry"))
			}
			queue := exampleQueue[service]
			if user != service && user != "topology" { // RabbitMQ has no separate permission to bind, see docs/security.md
				denied("consume from "+queue+".q", consumeFrom(queue+".q"))
			}
			if user != "operator" {
				denied("consume from "+queue+".dlq", consumeFrom(queue+".dlq"))
			}
			if user != "topology" {
				denied("bind "+queue+".q", func(ch *amqp.Channel) error { return ch.QueueBind(queue+".q", "#", "order.events", false, nil) })
				denied("delete "+queue+".q", func(ch *amqp.Channel) error {
					_, err := ch.QueueDelete(queue+".q", false, false, false)
					return err
				})
				denied("publish to queues", publishTo(""))
			}
		}
		denied("declare another queue", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("tap", false, true, true, false, nil)
			return err
		})
		denied("declare another exchange", func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare("tap", amqp.ExchangeFanout, false, true, false, false, nil)
		})
	}
}

// exampleQueue has one queue of each service, without its suffix.
var exampleQueue = map[string]string{
	"order": "order.payment-processed", "inventory": "inventory.order-created", "payment": "payment.order-created",
	"shipping": "shipping.order-created",
}

func TestDatabases_DenyOtherServices(t *testing.T) {
	t.Parallel()
	for role, address := range stack.Servers.Database {
		for _, name := range append([]string{"postgres", "template1"}, serviceNames...) {
			if name == strings.TrimSuffix(role, "_owner") {
				continue
			}
			elsewhere, err := inDatabase(address, name)
			if err != nil {
				t.Fatal(err)
			}
			if err := execute(t.Context(), elsewhere, "select 1"); !deniedByPostgres(err) {
				t.Errorf("%s may connect to the database %s: %v", role, name, err)
			}
		}
	}
}

func TestDatabaseRoles_HaveNoOtherPermissions(t *testing.T) {
	t.Parallel()
	for role, address := range stack.Servers.Database {
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		allowed := []string{"select count(*) from outbox", "delete from inbox where false", "update outbox set body = body where false"}
		denied := []string{"create role more", "create database more", "set role postgres"}
		changes := []string{"create table more (n int)", "create temporary table more (n int)", "create schema more"}
		if strings.HasSuffix(role, "_owner") {
			allowed = append(allowed, changes...)
		} else {
			denied = append(append(denied, changes...), "alter table outbox add more int", "drop table inbox", "truncate outbox")
		}
		for _, statement := range allowed {
			if err := executeAndRollBack(t.Context(), conn, statement); err != nil {
				t.Errorf("%s may not %s: %v", role, statement, err)
			}
		}
		for _, statement := range denied {
			if err := executeAndRollBack(t.Context(), conn, statement); !deniedByPostgres(err) {
				t.Errorf("%s may %s: %v", role, statement, err)
			}
		}
	}
}

func TestServers_DenyInvalidCredentials(t *testing.T) {
	t.Parallel()
	for address, message := range stack.Servers.Invalid {
		var err error
		if strings.HasPrefix(address, "amqp") {
			var conn *amqp.Connection
			if conn, err = dial(address); err == nil {
				_ = conn.Close()
			}
		} else {
			err = execute(t.Context(), address, "select 1")
		}
		if err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: got the error %v, want %q", address, err, message)
		}
	}
}

// executeAndRollBack executes a statement in a transaction that it rolls back. "create database" cannot run in a
// transaction; the server must deny it.
func executeAndRollBack(ctx context.Context, conn *pgx.Conn, statement string) error {
	if strings.HasPrefix(statement, "create database") {
		_, err := conn.Exec(ctx, statement)
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, statement)
	return errors.Join(err, tx.Rollback(ctx))
}

// deniedByPostgres reports whether the server denied permission.
func deniedByPostgres(err error) bool {
	const insufficientPrivilege = "42501"
	denied, ok := errors.AsType[*pgconn.PgError](err)
	return ok && denied.Code == insufficientPrivilege
}

func dial(address string) (*amqp.Connection, error) {
	pool := x509.NewCertPool()
	if stack.Servers.CAFile != "" {
		file, err := os.ReadFile(stack.Servers.CAFile)
		if err != nil {
			return nil, err
		}
		pool.AppendCertsFromPEM(file)
	}
	return amqp.DialTLS(address, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
}

// consumeFrom returns a function that starts to consume from the queue.
func consumeFrom(queue string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		_, err := ch.Consume(queue, "", false, false, false, false, nil)
		return err
	}
}

// publishTo returns a function that publishes a message. Its error is nil if the broker confirms the message, and else the
// error with which the broker closes the channel.
func publishTo(exchange string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirm, err := ch.PublishWithDeferredConfirm(exchange, "unknown.routing.key", false, false, amqp.Publishing{})
		if err != nil {
			return err
		}
		if confirm.Wait() {
			return nil
		}
		return <-closed
	}
}
