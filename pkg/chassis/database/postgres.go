package database

// This file has everything that is specific to Postgres.

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/metric/noop"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

func openPostgres(url string, opts Options) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, wrongURL(err)
	}
	settings := map[string]string{
		"timezone":                            "UTC",
		"lock_timeout":                        milliseconds(opts.LockTimeout),
		"statement_timeout":                   milliseconds(opts.StatementTimeout),
		"idle_in_transaction_session_timeout": milliseconds(opts.IdleInTransactionTimeout),
	}
	if opts.TransactionPooling {
		settings = map[string]string{"timezone": "UTC"} // PgBouncer keeps it for each client
		if cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
			cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
		}
	}
	for name, value := range settings {
		if _, set := cfg.RuntimeParams[name]; !set {
			cfg.RuntimeParams[name] = value
		}
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	sessions := &sessions{QueryTracer: otelpgx.NewTracer(otelpgx.WithMeterProvider(noop.NewMeterProvider()))}
	cfg.Tracer = sessions
	return stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(_ context.Context, conn *pgx.Conn) error {
		sessions.opened(conn)
		readTimesAsUTC(conn)
		return nil
	}), stdlib.OptionResetSession(sessions.reset)), nil
}

// wrongURL describes the mistake without quoting the URL. The parser's error quotes it, possibly with the password.
func wrongURL(err error) error {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("the URL names a file that cannot be used: %w", file)
	}
	if strings.HasSuffix(err.Error(), "unable to add CA to cert pool)") {
		return errors.New("the file that the URL names as sslrootcert holds no certificate in PEM")
	}
	return errors.New("the URL is not a valid connection string")
}

func postgresDialector(pool *sql.DB) gorm.Dialector {
	return postgres.New(postgres.Config{Conn: pool})
}

func readTimesAsUTC(conn *pgx.Conn) {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// tryAdvisoryLock acquires a lock that ends with tx, and returns false at once if it is held elsewhere.
func tryAdvisoryLock(tx *gorm.DB, key int64) (got bool, err error) {
	err = tx.Raw("select pg_try_advisory_xact_lock(?)", key).Scan(&got).Error
	return got, err
}

// migrationLock lets one instance at a time migrate. It polls instead of waiting inside the database, because a session
// that waits there would block CREATE INDEX CONCURRENTLY.
type migrationLock struct{}

const migrationLockKey int64 = 0x6368617373697301

func (migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		var got bool
		if err := conn.QueryRowContext(ctx, "select pg_try_advisory_lock($1)", migrationLockKey).Scan(&got); err != nil {
			return err
		}
		if got {
			// Building an index may take longer than a service's statements should.
			_, err := conn.ExecContext(ctx, "set statement_timeout = 0")
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, resetErr := conn.ExecContext(ctx, "reset statement_timeout")
	_, err := conn.ExecContext(ctx, "select pg_advisory_unlock($1)", migrationLockKey)
	return errors.Join(resetErr, err)
}

// isPermanent reports whether waiting does not help: the server rejects the login or a parameter of the connection, does
// not offer TLS, or has a certificate that is not trusted. A database that does not exist may be about to be created.
func isPermanent(err error) bool {
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return true
	}
	return strings.HasPrefix(sqlState(err), "28") || strings.Contains(err.Error(), "server refused TLS connection") ||
		rejectsParameter(err) || rejectedByPooler(err)
}

// rejectsParameter reports whether a pooler does not support a parameter that the connection sets.
func rejectsParameter(err error) bool {
	return strings.Contains(err.Error(), "unsupported startup parameter")
}

// rejectedByPooler reports whether PgBouncer rejects the login. Its versions before 1.23 have no code of their own for that.
func rejectedByPooler(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "08P01" && slices.ContainsFunc([]string{"no such user", "password authentication failed", "SASL authentication failed"},
		func(text string) bool { return strings.Contains(pg.Message, text) })
}

func explainPooler(err error) error {
	if !rejectsParameter(err) {
		return err
	}
	return fmt.Errorf("the server is a pooler that does not support the settings of a session: set DATABASE_TRANSACTION_POOLING=true: %w", err)
}

func sqlState(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code
	}
	return ""
}
