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

// That the rights suffice is shown by all the other stories. These tests show what they do not suffice for. A shop in one
// process has neither broker nor database server, so that there is nobody to refuse anything.

func TestBroker_RefusesWhatIsNobodysBusiness(t *testing.T) {
	t.Parallel()
	for user, address := range shop.Servers.Broker {
		conn, err := dial(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		refused := func(what string, do func(*amqp.Channel) error) {
			t.Helper()
			ch, err := conn.Channel() // a refusal closes it
			if err != nil {
				t.Fatal(err)
			}
			refusal, isRefusal := errors.AsType[*amqp.Error](do(ch))
			if !isRefusal || refusal.Code != amqp.AccessRefused {
				t.Errorf("%s may %s: %v", user, what, refusal)
			}
		}
		for _, service := range serviceNames {
			if user != service {
				refused("publish events of "+service, publishTo(service+".events"))
				refused("send retries of "+service, publishTo(service+".retry"))
			}
			queue := aQueueOf[service]
			if user != service && user != "topology" { // whom RabbitMQ lets read what it lets declare, see docs/security.md
				refused("consume from "+queue+".q", consumeFrom(queue+".q"))
			}
			if user != "operator" {
				refused("consume from "+queue+".dlq", consumeFrom(queue+".dlq"))
			}
			if user != "topology" {
				refused("bind "+queue+".q", func(ch *amqp.Channel) error { return ch.QueueBind(queue+".q", "#", "order.events", false, nil) })
				refused("delete "+queue+".q", func(ch *amqp.Channel) error {
					_, err := ch.QueueDelete(queue+".q", false, false, false)
					return err
				})
				refused("write to queues", publishTo(""))
			}
		}
		refused("declare a queue of nobody's", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("tap", false, true, true, false, nil)
			return err
		})
		refused("declare an exchange of nobody's", func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare("tap", amqp.ExchangeFanout, false, true, false, false, nil)
		})
	}
}

// aQueueOf a service that it always has.
var aQueueOf = map[string]string{
	"order": "order.payment-processed", "inventory": "inventory.order-created", "payment": "payment.order-created",
	"shipping": "shipping.order-created",
}

func TestDatabases_AreClosedToEverybodyElse(t *testing.T) {
	t.Parallel()
	for role, address := range shop.Servers.Database {
		for _, name := range append([]string{"postgres", "template1"}, serviceNames...) {
			if name == strings.TrimSuffix(role, "_owner") {
				continue
			}
			elsewhere, err := inDatabase(address, name)
			if err != nil {
				t.Fatal(err)
			}
			if err := execute(t.Context(), elsewhere, "select 1"); !refusedByPostgres(err) {
				t.Errorf("%s in the database %s: %v", role, name, err)
			}
		}
	}
}

func TestDatabaseRoles_MayDoWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	for role, address := range shop.Servers.Database {
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
			if err := undone(t.Context(), conn, statement); err != nil {
				t.Errorf("%s may not %s: %v", role, statement, err)
			}
		}
		for _, statement := range denied {
			if err := undone(t.Context(), conn, statement); !refusedByPostgres(err) {
				t.Errorf("%s may %s: %v", role, statement, err)
			}
		}
	}
}

func TestServers_LetNobodyElseIn(t *testing.T) {
	t.Parallel()
	for address, says := range shop.Servers.Foreign {
		var err error
		if strings.HasPrefix(address, "amqp") {
			var conn *amqp.Connection
			if conn, err = dial(address); err == nil {
				_ = conn.Close()
			}
		} else {
			err = execute(t.Context(), address, "select 1")
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s does not say %q but %v", address, says, err)
		}
	}
}

// undone executes a statement and takes it back. "create database" must be outside a transaction, and is refused first.
func undone(ctx context.Context, conn *pgx.Conn, statement string) error {
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

func refusedByPostgres(err error) bool {
	const insufficientPrivilege = "42501"
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refusal.Code == insufficientPrivilege
}

func dial(address string) (*amqp.Connection, error) {
	pool := x509.NewCertPool()
	if shop.Servers.CAFile != "" {
		file, err := os.ReadFile(shop.Servers.CAFile)
		if err != nil {
			return nil, err
		}
		pool.AppendCertsFromPEM(file)
	}
	return amqp.DialTLS(address, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
}

func consumeFrom(queue string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		_, err := ch.Consume(queue, "", false, false, false, false, nil)
		return err
	}
}

// publishTo answers why the broker closes the channel, or nil once it has confirmed.
func publishTo(exchange string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirm, err := ch.PublishWithDeferredConfirm(exchange, "nobody.wants.this", false, false, amqp.Publishing{})
		if err != nil {
			return err
		}
		if confirm.Wait() {
			return nil
		}
		return <-closed
	}
}
