package testservers

import (
	"context"
	"net/http"
	"net/url"
	"testing"
)

// User makes a RabbitMQ user who may do in the virtual host at amqpURL, and nowhere else, what the three regular
// expressions permit, and returns the URL by which they connect. "" permits nothing. The user is deleted when t ends.
func User(t testing.TB, amqpURL, configure, write, read string) string {
	t.Helper()
	b, err := brokerAt(amqpURL)
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	u, err := url.Parse(amqpURL)
	if err != nil {
		t.Fatal("testservers: not a URL")
	}
	ctx, cancel := context.WithTimeout(t.Context(), operationTimeout)
	defer cancel()
	name, password := newName(), newName()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
		defer cancel()
		if err := b.deleteUser(ctx, name); err != nil {
			t.Errorf("testservers: %v", err)
		}
	})
	if err := b.createUser(ctx, name, password, vhostOf(u), configure, write, read); err != nil {
		t.Fatalf("testservers: %v", err)
	}
	u.User = url.UserPassword(name, password)
	return u.String()
}

// vhostOf is the virtual host that an AMQP URL names: without a path the default one.
func vhostOf(u *url.URL) string {
	if len(u.Path) < 2 {
		return "/"
	}
	return u.Path[1:]
}

func (b rabbit) createUser(ctx context.Context, name, password, vhost, configure, write, read string) error {
	user := map[string]string{"password": password, "tags": ""}
	if err := b.call(ctx, http.MethodPut, []string{"users", name}, user, nil); err != nil {
		return err
	}
	may := map[string]string{"configure": configure, "write": write, "read": read}
	return b.call(ctx, http.MethodPut, []string{"permissions", vhost, name}, may, nil)
}

func (b rabbit) deleteUser(ctx context.Context, name string) error {
	return ignoreMissing(b.call(ctx, http.MethodDelete, []string{"users", name}, nil, nil))
}

// sweepUsers deletes those whom tests of this machine left because they were killed.
func (b rabbit) sweepUsers(ctx context.Context) error {
	var users []struct{ Name string }
	if err := b.call(ctx, http.MethodGet, []string{"users"}, nil, &users); err != nil {
		return err
	}
	for _, user := range users {
		if abandoned(user.Name) {
			if err := b.deleteUser(ctx, user.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
