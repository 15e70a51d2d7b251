package rabbitmq

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNew_ReportsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := New("amqp://u:secret@host:port/,http://h", Config{Heartbeat: time.Millisecond, WriteTimeout: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"address 1", "address 2", "Heartbeat", "WriteTimeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%q contains the password", err)
	}
}

func TestNew_ChecksCAFile(t *testing.T) {
	t.Parallel()
	nonsense, good := filepath.Join(t.TempDir(), "nonsense.pem"), filepath.Join(t.TempDir(), "ca.pem")
	server := httptest.NewTLSServer(nil)
	server.Close()
	for file, content := range map[string][]byte{
		nonsense: []byte("no certificate"),
		good:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for want, c := range map[string]struct{ address, file string }{
		"no such file":       {"amqps://localhost", nonsense + ".missing"},
		"no certificate in":  {"amqps://localhost", nonsense},
		"amqps, not amqp":    {"amqp://u:secret@localhost", good},
		"address 2: a CA fi": {"amqps://localhost,amqp://localhost", good},
	} {
		_, err := New(c.address, Config{CAFile: c.file})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v does not contain %q", err, want)
		}
	}
	if _, err := New("amqps://localhost", Config{CAFile: good}); err != nil {
		t.Error(err)
	}
}
