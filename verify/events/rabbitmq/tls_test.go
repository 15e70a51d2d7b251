package rabbitmq_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestTLS_UsesAuthorityFromFile(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	authority := testservers.NewAuthority(t)
	secure := authority.AMQP(t, url)
	tr := newTransport(t, secure, rabbitmq.Config{CAFile: authority.File()})
	publish(t, tr, newMessage("1"))
	if d := takeMessage(t, operator(t, url), rabbitmq.QueueName(q)); d.MessageId != "1" {
		t.Errorf("got %s", d.MessageId)
	}
	// Config.TLS may be set as well: here, to the name in the certificate of the broker.
	elsewhere := strings.Replace(secure, "localhost", "127.0.0.1", 1)
	tr = newTransport(t, elsewhere, rabbitmq.Config{CAFile: authority.File(), TLS: &tls.Config{ServerName: "localhost"}})
	publish(t, tr, newMessage("2"))
}

func TestTLS_ErrorNamesCause(t *testing.T) {
	t.Parallel()
	plain := testservers.AMQP(t)
	authority, other := testservers.NewAuthority(t), testservers.NewAuthority(t)
	secure := authority.AMQP(t, plain)
	for name, c := range map[string]struct{ address, file, want string }{
		"another authority has signed": {secure, other.File(), "certificate signed by unknown authority"},
		"the authority is unknown":     {secure, "", "certificate signed by unknown authority"},
		"the certificate has another name": {
			strings.Replace(secure, "localhost", "127.0.0.1", 1), authority.File(), "cannot validate certificate for 127.0.0.1",
		},
		"the broker speaks plain text": {
			strings.Replace(plain, "amqp:", "amqps:", 1), authority.File(), "does not look like a TLS handshake",
		},
		"the broker speaks TLS only": {strings.Replace(secure, "amqps:", "amqp:", 1), "", "amqps"},
	} {
		err := newTransport(t, c.address, rabbitmq.Config{CAFile: c.file}).Check(t.Context(), newTopology())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not contain %q", name, err, c.want)
		}
	}
}
