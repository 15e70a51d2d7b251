package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A RabbitMQ is a broker that is administered over its management API.
type RabbitMQ struct {
	amqp       *url.URL
	management *url.URL
}

// NewRabbitMQ returns the broker at amqpURL. Without a managementURL, the management API is expected on port 15672 of
// the same host; without a user in it, it gets the user of amqpURL.
func NewRabbitMQ(amqpURL, managementURL string) (RabbitMQ, error) {
	a, err := url.Parse(amqpURL)
	if err != nil || a.Hostname() == "" {
		return RabbitMQ{}, fmt.Errorf("%s must be a URL: amqp://user:password@host:port/", AMQPURL)
	}
	if managementURL == "" {
		m := &url.URL{Scheme: "http", User: a.User, Host: net.JoinHostPort(a.Hostname(), "15672")}
		return RabbitMQ{amqp: a, management: m}, nil
	}
	m, err := url.Parse(managementURL)
	if err != nil || m.Hostname() == "" {
		return RabbitMQ{}, fmt.Errorf("%s must be a URL: http://user:password@host:port", ManagementURL)
	}
	if m.User == nil {
		m.User = a.User
	}
	return RabbitMQ{amqp: a, management: m}, nil
}

// Host returns the host and port for AMQP clients.
func (b RabbitMQ) Host() string { return b.amqp.Host }

// Management returns the URL of the management API, without the password.
func (b RabbitMQ) Management() string { return b.management.Redacted() }

// VHostURL returns the AMQP URL of a virtual host.
func (b RabbitMQ) VHostURL(name string) string {
	u := *b.amqp
	u.Path, u.RawPath = "/"+name, "/"+url.PathEscape(name)
	return u.String()
}

// Version completes an AMQP handshake and returns the broker's version. It succeeds when both listeners are up.
func (b RabbitMQ) Version(ctx context.Context) (string, error) {
	conn, err := amqp.DialConfig(b.amqp.String(), amqp.Config{Dial: func(network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		deadline, _ := ctx.Deadline()
		return conn, conn.SetDeadline(deadline)
	}})
	if err != nil {
		return "", err
	}
	_ = conn.Close()
	var overview struct {
		Version string `json:"rabbitmq_version"`
	}
	err = b.call(ctx, http.MethodGet, nil, &overview, "overview")
	return overview.Version, err
}

// CreateVHost creates a virtual host in which the broker's own user has all permissions.
func (b RabbitMQ) CreateVHost(ctx context.Context, name string) error {
	if err := b.call(ctx, http.MethodPut, struct{}{}, nil, "vhosts", name); err != nil {
		return err
	}
	user := b.amqp.User.Username()
	if user == "" {
		user = "guest"
	}
	return b.permit(ctx, name, user, ".*", ".*", ".*")
}

// DeleteVHost deletes a virtual host. It succeeds if there is none.
func (b RabbitMQ) DeleteVHost(ctx context.Context, name string) error {
	return ignoreMissing(b.call(ctx, http.MethodDelete, nil, nil, "vhosts", name))
}

// VHosts returns the names of all virtual hosts.
func (b RabbitMQ) VHosts(ctx context.Context) ([]string, error) { return b.names(ctx, "vhosts") }

// CreateUser creates a user whose permissions in vhost are the three regular expressions.
func (b RabbitMQ) CreateUser(ctx context.Context, name, password, vhost, configure, write, read string) error {
	user := map[string]string{"password": password, "tags": ""}
	if err := b.call(ctx, http.MethodPut, user, nil, "users", name); err != nil {
		return err
	}
	return b.permit(ctx, vhost, name, configure, write, read)
}

// DeleteUser deletes a user. It succeeds if there is none.
func (b RabbitMQ) DeleteUser(ctx context.Context, name string) error {
	return ignoreMissing(b.call(ctx, http.MethodDelete, nil, nil, "users", name))
}

// Users returns the names of all users.
func (b RabbitMQ) Users(ctx context.Context) ([]string, error) { return b.names(ctx, "users") }

func (b RabbitMQ) permit(ctx context.Context, vhost, user, configure, write, read string) error {
	permissions := map[string]string{"configure": configure, "write": write, "read": read}
	return b.call(ctx, http.MethodPut, permissions, nil, "permissions", vhost, user)
}

func (b RabbitMQ) names(ctx context.Context, collection string) ([]string, error) {
	var items []struct{ Name string }
	err := b.call(ctx, http.MethodGet, nil, &items, collection)
	names := make([]string, len(items))
	for i, item := range items {
		names[i] = item.Name
	}
	return names, err
}

// call makes one request to the management API. Request and response, if not nil, are JSON.
func (b RabbitMQ) call(ctx context.Context, method string, request, response any, path ...string) error {
	u := *b.management
	u.User = nil
	endpoint := u.JoinPath("api")
	for _, element := range path {
		endpoint = endpoint.JoinPath(url.PathEscape(element))
	}
	var body io.Reader
	if request != nil {
		encoded, err := json.Marshal(request)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, endpoint.String(), body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	password, _ := b.management.User.Password()
	req.SetBasicAuth(b.management.User.Username(), password)
	req.Close = true // tests look for goroutines that are left, such as those of idle connections
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		explanation, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return statusError{code: resp.StatusCode, request: method + " " + endpoint.Path, explanation: string(explanation)}
	}
	if response == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(response)
}

// statusError is an error status of the management API.
type statusError struct {
	code                 int
	request, explanation string
}

func (e statusError) Error() string {
	return fmt.Sprintf("management API: %s: %d %s", e.request, e.code, e.explanation)
}

// ignoreMissing turns the status 404 into success.
func ignoreMissing(err error) error {
	if status, ok := errors.AsType[statusError](err); ok && status.code == http.StatusNotFound {
		return nil
	}
	return err
}
