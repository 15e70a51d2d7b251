package rabbitmq

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

func TestTLS_CarriesEventsPastAnAuthorityFromAFile(t *testing.T) {
	t.Parallel()
	q := orderCreated()
	url := broker(t, q)
	authority := testservers.NewAuthority(t)
	secure := authority.AMQP(t, url)
	tr := newTransport(t, secure, Config{CAFile: authority.File()})
	publish(t, tr, testMessage("1"))
	if d := take(t, operator(t, url), QueueName(q)); d.MessageId != "1" {
		t.Errorf("got %s", d.MessageId)
	}
	// What else TLS shall be may be said beside it: here, the name by which the broker is known.
	elsewhere := strings.Replace(secure, "localhost", "127.0.0.1", 1)
	tr = newTransport(t, elsewhere, Config{CAFile: authority.File(), TLS: &tls.Config{ServerName: "localhost"}})
	publish(t, tr, testMessage("2"))
}

func TestTLS_SaysWhyItDoesNotConnect(t *testing.T) {
	t.Parallel()
	plain := testservers.AMQP(t)
	authority, stranger := testservers.NewAuthority(t), testservers.NewAuthority(t)
	secure := authority.AMQP(t, plain)
	for name, c := range map[string]struct{ address, file, says string }{
		"somebody else vouches for it": {secure, stranger.File(), "certificate signed by unknown authority"},
		"nobody is known to vouch":     {secure, "", "certificate signed by unknown authority"},
		"it goes by another name": {
			strings.Replace(secure, "localhost", "127.0.0.1", 1), authority.File(), "cannot validate certificate for 127.0.0.1",
		},
		"the broker speaks plain text": {
			strings.Replace(plain, "amqp:", "amqps:", 1), authority.File(), "does not look like a TLS handshake",
		},
		"the broker speaks TLS only": {strings.Replace(secure, "amqps:", "amqp:", 1), "", "amqps"},
	} {
		err := newTransport(t, c.address, Config{CAFile: c.file}).Check(t.Context(), topologyOf())
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
}

func TestTLS_NewRefusesAFileThatVouchesForNobody(t *testing.T) {
	t.Parallel()
	nonsense := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(nonsense, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := testservers.NewAuthority(t).File()
	for says, c := range map[string]struct{ address, file string }{
		"no such file":       {"amqps://localhost", nonsense + ".missing"},
		"no certificate in":  {"amqps://localhost", nonsense},
		"amqps, not amqp":    {"amqp://u:secret@localhost", good},
		"address 2: a CA fi": {"amqps://localhost,amqp://localhost", good},
	} {
		_, err := New(c.address, Config{CAFile: c.file})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}
