package testservers

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// AMQP returns the URL of a new, empty virtual host, which is deleted when t ends. It blocks until the server is up.
func AMQP(t testing.TB) string {
	t.Helper()
	b, err := sharedBroker()
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), operationTimeout)
	defer cancel()
	name := newName()
	cleanup(t, func(ctx context.Context) error { return b.DeleteVHost(ctx, name) })
	if err := b.CreateVHost(ctx, name); err != nil {
		t.Fatalf("testservers: %v", err)
	}
	return b.VHostURL(name)
}

// User creates a RabbitMQ user for the virtual host at amqpURL, which may be on the shared broker or on an [OwnBroker],
// and returns the URL for that user. The three regular expressions are the user's only permissions; "" permits nothing.
// The user is deleted when t ends.
func User(t testing.TB, amqpURL, configure, write, read string) string {
	t.Helper()
	u, err := url.Parse(amqpURL)
	if err != nil {
		t.Fatal("testservers: not a URL")
	}
	b, err := brokerAt(u.Host)
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	vhost := strings.TrimPrefix(u.Path, "/")
	if vhost == "" {
		vhost = "/"
	}
	ctx, cancel := context.WithTimeout(t.Context(), operationTimeout)
	defer cancel()
	name, password := newName(), newName()
	cleanup(t, func(ctx context.Context) error { return b.DeleteUser(ctx, name) })
	if err := b.CreateUser(ctx, name, password, vhost, configure, write, read); err != nil {
		t.Fatalf("testservers: %v", err)
	}
	u.User = url.UserPassword(name, password)
	return u.String()
}

// ownBrokers holds the brokers that tests started for themselves, by host and port.
var ownBrokers sync.Map // string → servers.RabbitMQ

// brokerAt returns the broker with that host and port.
func brokerAt(host string) (servers.RabbitMQ, error) {
	if own, ok := ownBrokers.Load(host); ok {
		return own.(servers.RabbitMQ), nil
	}
	b, err := sharedBroker()
	if err == nil && b.Host() != host {
		err = fmt.Errorf("%s is not a broker of this package", host)
	}
	return b, err
}

// deleteAbandonedVHosts deletes the virtual hosts that killed tests of this machine left.
func deleteAbandonedVHosts(ctx context.Context, b servers.RabbitMQ) error {
	names, err := b.VHosts(ctx)
	if err != nil {
		return err
	}
	return deleteAbandoned(ctx, names, b.DeleteVHost)
}

// deleteAbandonedUsers deletes the users that killed tests of this machine left.
func deleteAbandonedUsers(ctx context.Context, b servers.RabbitMQ) error {
	names, err := b.Users(ctx)
	if err != nil {
		return err
	}
	return deleteAbandoned(ctx, names, b.DeleteUser)
}

func deleteAbandoned(ctx context.Context, names []string, remove func(context.Context, string) error) error {
	for _, name := range names {
		if !abandoned(name) {
			continue
		}
		if err := remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// cleanup calls f when t ends, and fails t if f does.
func cleanup(t testing.TB, f func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
		defer cancel()
		if err := f(ctx); err != nil {
			t.Errorf("testservers: %v", err)
		}
	})
}
