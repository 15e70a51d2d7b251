package testservers_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestUser(t *testing.T) {
	t.Parallel()
	vhost := testservers.AMQP(t)
	var user string
	t.Run("permissions", func(t *testing.T) {
		user = testservers.User(t, vhost, `^own\.q$`, "", "")
		conn, err := amqp.Dial(user)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for name, permitted := range map[string]bool{"own.q": true, "another.q": false} {
			channel, err := conn.Channel()
			if err != nil {
				t.Fatal(err)
			}
			_, err = channel.QueueDeclare(name, true, false, false, false, nil)
			if closed, ok := errors.AsType[*amqp.Error](err); permitted != (err == nil) || ok && closed.Code != amqp.AccessRefused {
				t.Errorf("declaring %s: %v", name, err)
			}
		}
	})
	if conn, err := amqp.Dial(user); err == nil {
		_ = conn.Close()
		t.Error("the user still exists after its test")
	}
}

func TestAuthority(t *testing.T) {
	t.Parallel()
	authority := testservers.NewAuthority(t)
	pool := x509.NewCertPool()
	if file, err := os.ReadFile(authority.File()); err != nil || !pool.AppendCertsFromPEM(file) {
		t.Fatalf("no certificate: %v", err)
	}

	address := authority.AMQP(t, testservers.AMQP(t))
	conn, err := amqp.DialTLS(address, &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if conn, err := amqp.DialTLS(strings.Replace(address, "localhost", "127.0.0.1", 1), &tls.Config{RootCAs: pool}); err == nil {
		_ = conn.Close()
		t.Error("the certificate is valid for 127.0.0.1")
	}
	if conn, err := amqp.DialTLS(address, &tls.Config{}); err == nil {
		_ = conn.Close()
		t.Error("the authority is trusted without its certificate")
	}

	database := authority.Database(t, testservers.Database(t)) + "?sslmode=verify-full&sslrootcert=" + authority.File()
	db, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close(context.Background())
}
