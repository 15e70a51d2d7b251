package database_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestOpen_VerifiesServerCertificate(t *testing.T) {
	t.Parallel()
	authority := testservers.NewAuthority(t)
	db := open(t, verified(authority.Database(t, testservers.Database(t)), authority.File()), database.Options{})
	if err := db.Exec("select 1").Error; err != nil {
		t.Error(err)
	}
}

func TestOpen_ReportsUntrustedCertificates(t *testing.T) {
	t.Parallel()
	authority, stranger := testservers.NewAuthority(t), testservers.NewAuthority(t)
	secure := authority.Database(t, testservers.Database(t))
	nonsense := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(nonsense, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ url, says string }{
		"it is signed by another authority": {verified(secure, stranger.File()), "signed by unknown authority"},
		"it goes by another name": {
			verified(strings.Replace(secure, "localhost", "127.0.0.1", 1), authority.File()), "cannot validate certificate for 127.0.0.1",
		},
		"the file is missing":            {verified(secure, nonsense+".missing"), "no such file"},
		"the file has no certificate":    {verified(secure, nonsense), "no certificate in PEM"},
		"the URL has a mode that is not": {secure + "?sslmode=perhaps", "not a valid connection string"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(u.User.Username(), "hunter2")
		_, err = database.Open(t.Context(), u.String(), database.Options{})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
}

func TestOpen_NeverFallsBackToPlainText(t *testing.T) {
	t.Parallel()
	address := verified(testservers.Database(t), testservers.NewAuthority(t).File())
	if _, err := database.Open(t.Context(), address, database.Options{}); err == nil || !strings.Contains(err.Error(), "server refused TLS connection") {
		t.Errorf("got %v", err)
	}
}

// verified adds the parameters that verify the server.
func verified(databaseURL, ca string) string {
	address, _, _ := strings.Cut(databaseURL, "?")
	return address + "?sslmode=verify-full&sslrootcert=" + url.QueryEscape(ca)
}
