package testservers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// rabbit is a RabbitMQ with its management API.
type rabbit struct {
	amqp       *url.URL
	management *url.URL
}

// newRabbit takes the broker's URL and that of its management API; "" guesses the second.
func newRabbit(amqpURL, managementURL string) (rabbit, error) {
	a, err := url.Parse(amqpURL)
	if err != nil || a.Hostname() == "" {
		return rabbit{}, fmt.Errorf("%s must be a URL: amqp://user:password@host:port/", envAMQP)
	}
	if managementURL == "" {
		return rabbit{amqp: a, management: defaultManagement(a)}, nil
	}
	m, err := url.Parse(managementURL)
	if err != nil || m.Hostname() == "" {
		return rabbit{}, fmt.Errorf("%s must be a URL: http://user:password@host:port", envManagement)
	}
	if m.User == nil {
		m.User = a.User
	}
	return rabbit{amqp: a, management: m}, nil
}

// vhostURL is the AMQP URL of a virtual host.
func (b rabbit) vhostURL(name string) string {
	u := *b.amqp
	u.Path, u.RawPath = "/"+name, "/"+url.PathEscape(name)
	return u.String()
}

func (b rabbit) createVHost(ctx context.Context, name string) error {
	if err := b.call(ctx, http.MethodPut, []string{"vhosts", name}, struct{}{}, nil); err != nil {
		return err
	}
	user := b.amqp.User.Username()
	if user == "" {
		user = "guest"
	}
	all := map[string]string{"configure": ".*", "write": ".*", "read": ".*"}
	return b.call(ctx, http.MethodPut, []string{"permissions", name, user}, all, nil)
}

func (b rabbit) deleteVHost(ctx context.Context, name string) error {
	return ignoreMissing(b.call(ctx, http.MethodDelete, []string{"vhosts", name}, nil, nil))
}

// ignoreMissing makes deleting what is gone already a success.
func ignoreMissing(err error) error {
	if status, ok := errors.AsType[statusError](err); ok && status.code == http.StatusNotFound {
		return nil
	}
	return err
}

// sweepVHosts deletes what tests of this machine left because they were killed.
func (b rabbit) sweepVHosts(ctx context.Context) error {
	var vhosts []struct{ Name string }
	if err := b.call(ctx, http.MethodGet, []string{"vhosts"}, nil, &vhosts); err != nil {
		return err
	}
	for _, vhost := range vhosts {
		if abandoned(vhost.Name) {
			if err := b.deleteVHost(ctx, vhost.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// queueNames lists a virtual host's durable queues. The management API's own list of queues is a cached one.
func (b rabbit) queueNames(ctx context.Context, vhost string) ([]string, error) {
	var definitions struct {
		Queues []struct{ Name string }
	}
	if err := b.call(ctx, http.MethodGet, []string{"definitions", vhost}, nil, &definitions); err != nil {
		return nil, err
	}
	var names []string
	for _, q := range definitions.Queues {
		names = append(names, q.Name)
	}
	return names, nil
}

// call makes one request to the management API; request and response, if not nil, travel as JSON.
func (b rabbit) call(ctx context.Context, method string, path []string, request, response any) error {
	u := *b.management
	u.User = nil
	for i := range path {
		path[i] = url.PathEscape(path[i])
	}
	endpoint := u.JoinPath(append([]string{"api"}, path...)...)
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

// statusError is an answer of the management API that is none of success.
type statusError struct {
	code                 int
	request, explanation string
}

func (e statusError) Error() string {
	return fmt.Sprintf("management API: %s: %d %s", e.request, e.code, e.explanation)
}
