package database_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// pgbouncer starts a PgBouncer in transaction mode, with two sessions, in front of the server of a database. It returns
// the URL of the database through it. Where the program is not installed, the test is skipped, unless TEST_PGBOUNCER is
// true; scripts/install-test-servers installs it.
func pgbouncer(t *testing.T, databaseURL, auth string) string {
	t.Helper()
	program := findPgbouncer(t)
	server := parse(t, databaseURL)
	password, _ := server.User.Password()
	folder := t.TempDir()
	port := freePort(t)
	files := map[string]string{
		"pgbouncer.ini": fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s password='%s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
pool_mode = transaction
default_pool_size = 2
auth_type = %s
auth_file = %s
`, server.Hostname(), server.Port(), server.User.Username(), password, port, auth, filepath.Join(folder, "users")),
		"users": `"known" "right"` + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, filepath.Join(folder, "pgbouncer.ini"))
	if os.Geteuid() == 0 { // the program refuses to run as root
		cmd.Args = []string{program, "-u", "nobody", filepath.Join(folder, "pgbouncer.ini")}
		for dir := folder; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	})
	server.Host = net.JoinHostPort("127.0.0.1", port)
	waitUntil(t, "PgBouncer listens", func() bool {
		conn, err := net.Dial("tcp", server.Host)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return server.String()
}

func findPgbouncer(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "pgbouncer is not installed"
	if os.Getenv("TEST_PGBOUNCER") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

func TestOpen_WorksWithTransactionPooling(t *testing.T) {
	t.Parallel()
	direct := testservers.Database(t)
	db := open(t, pgbouncer(t, direct, "any"), database.Options{MaxConns: 8, TransactionPooling: true})
	if err := database.WithMigrationRole(t.Context(), direct, db, func(ctx context.Context, db *gorm.DB) error {
		return database.Migrate(ctx, db, "schema_migrations", things)
	}); err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for j := range 20 {
				name := fmt.Sprintf("thing %d of %d", j, i)
				var read []thing
				if err := database.Transaction(t.Context(), db, func(tx *gorm.DB) error {
					if got, err := database.TryLock(tx, int64(i)); err != nil || !got {
						return fmt.Errorf("the lock of client %d: %v, %w", i, got, err)
					}
					if err := tx.Exec("insert into things (name) values (?)", name).Error; err != nil {
						return err
					}
					return tx.Where("name in ?", []string{name, "fan"}).Find(&read).Error
				}); err != nil {
					t.Error(err)
				} else if len(read) != 1 || read[0].MadeAt.IsZero() {
					t.Errorf("read %v", read)
				}
			}
		})
	}
	clients.Wait()
}

func TestOpen_ReportsRejectionByPooler(t *testing.T) {
	t.Parallel()
	direct := testservers.Database(t)
	plain := parse(t, pgbouncer(t, direct, "plain"))
	as := func(user, password string) string {
		u := *plain
		u.User = url.UserPassword(user, password)
		return u.String()
	}
	for _, c := range []struct {
		url     string
		pooling bool
		says    string
	}{
		{as("known", "right"), false, "DATABASE_TRANSACTION_POOLING=true"},
		{as("known", "wrong"), true, "password authentication failed"},
		{as("unknown", "right"), true, "authentication failed"},
	} {
		db, err := database.Open(t.Context(), c.url, database.Options{TransactionPooling: c.pooling})
		if err == nil {
			_ = database.Close(db)
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v does not say %q", err, c.says)
		}
	}
	open(t, as("known", "right"), database.Options{TransactionPooling: true})
}
