package chassis

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Config holds the settings that all services share; docs/configuration.md describes them. A service embeds it in a
// Config of its own and adds fields with `env` tags. The fields without a tag are set in code.
type Config struct {
	// HTTPAddr is the listening address. Port 0 takes a free one; see OnListen.
	HTTPAddr string `env:"HTTP_ADDR"`
	// DatabaseURL is a postgres:// URL. Required.
	DatabaseURL Secret `env:"DATABASE_URL"`
	// MigrateDatabaseURL leads to the same database with a role that owns the tables, if that of DatabaseURL does not.
	// It is used for migrations only.
	MigrateDatabaseURL Secret `env:"MIGRATE_DATABASE_URL"`
	// DatabaseMaxConns bounds the connection pool of this instance.
	DatabaseMaxConns int `env:"DATABASE_MAX_CONNS"`
	// DatabaseTransactionPooling is for a DatabaseURL that leads to a pooler in transaction mode, such as PgBouncer. It needs
	// a MigrateDatabaseURL that leads to the server itself.
	DatabaseTransactionPooling bool `env:"DATABASE_TRANSACTION_POOLING"`
	// AMQPURL is an amqp:// or amqps:// URL. Required.
	AMQPURL Secret `env:"AMQP_URL"`
	// AMQPCAFile names a PEM file with the certificate authorities for an amqps:// broker, instead of the system's.
	AMQPCAFile string `env:"AMQP_CA_FILE"`
	// OpsToken is the bearer token for the paths under /ops. Without one they reject every request.
	OpsToken Secret `env:"OPS_TOKEN"`
	// TrustTraceContext makes requests part of their caller's trace; see httpapi.RouterConfig.
	TrustTraceContext bool `env:"TRUST_TRACE_CONTEXT"`
	// MaxBodyMemory is the most bytes of large request bodies that are held at the same time.
	MaxBodyMemory int64 `env:"MAX_BODY_MEMORY"`
	// ShutdownDelay is how long the service continues to accept requests after a signal to stop, while it is not ready.
	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY"`
	// ShutdownTimeout is how long work under way can take to finish after ShutdownDelay.
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT"`
	// LogLevel is debug, info, warn or error.
	LogLevel slog.Level `env:"LOG_LEVEL"`
	// LogFormat is json or text.
	LogFormat string `env:"LOG_FORMAT"`
	// DefaultTenant is the tenant of a request without X-Tenant-ID.
	DefaultTenant string `env:"DEFAULT_TENANT"`
	// Events holds the settings of pkg/events.
	Events Events

	// MaxRequests, if positive, is how many requests are served at the same time; more of them wait. It protects a process
	// in which several services share processors and connections.
	MaxRequests int
	// Listener, if set, is used instead of HTTPAddr. It is closed at the end.
	Listener net.Listener
	// Server, if set, is used instead of both. program.Main sets it, so that it serves from the start of the process.
	Server *Server
	// OnListen, if set, is called with the address once the service serves.
	OnListen func(net.Addr)
}

// Defaults returns the settings of a service that listens on addr and whose environment sets only what is required. It
// is the only source of these defaults.
func Defaults(addr string) Config {
	return Config{
		HTTPAddr:         addr,
		DatabaseMaxConns: 20,
		MaxBodyMemory:    httpapi.MaxBodyMemory,
		ShutdownTimeout:  20 * time.Second,
		LogLevel:         slog.LevelInfo,
		LogFormat:        "json",
		DefaultTenant:    "default",
		Events:           defaultEvents(),
	}
}

// Configured is satisfied by a pointer to a struct that embeds a [Config] by value.
type Configured[T any] interface {
	*T
	Shared() *Config
}

// Shared returns the settings that all services share.
func (c *Config) Shared() *Config { return c }

// ParseEnv returns defaults with the values of the variables in environ, a list of NAME=value as [os.Environ] returns
// it. An empty variable counts as unset.
//
// If T has a method Validate() error, it is called as well. The error names every variable that is wrong.
func ParseEnv[T any, P Configured[T]](defaults T, environ []string) (T, error) {
	cfg := P(&defaults)
	var errs []error
	if err := env.ParseWithOptions(cfg, env.Options{
		Environment: env.ToMap(environ),
		FuncMap:     map[reflect.Type]env.ParserFunc{reflect.TypeFor[bool](): parseBool},
	}); err != nil {
		errs = append(errs, describe(reflect.TypeFor[T](), err))
	}
	errs = append(errs, cfg.Shared().validate(), cfg.Shared().Events.validate())
	if v, ok := any(cfg).(interface{ Validate() error }); ok {
		errs = append(errs, v.Validate())
	}
	return *cfg, errors.Join(errs...)
}

// validate is not the exported Validate, because the method of a service's own Config would hide that.
func (c Config) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if _, _, err := net.SplitHostPort(c.HTTPAddr); err != nil {
		wrong("HTTP_ADDR must be host:port or :port")
	}
	if err := checkURL(c.DatabaseURL, "postgres", "postgresql"); err != nil {
		wrong("DATABASE_URL %w", err)
	}
	if err := checkURL(c.MigrateDatabaseURL, "postgres", "postgresql"); c.MigrateDatabaseURL != "" && err != nil {
		wrong("MIGRATE_DATABASE_URL %w", err)
	}
	if err := checkURL(c.AMQPURL, "amqp", "amqps"); err != nil {
		wrong("AMQP_URL %w", err)
	}
	if c.DatabaseMaxConns < 2 {
		wrong("DATABASE_MAX_CONNS must be at least 2")
	}
	if c.MaxBodyMemory < httpapi.MaxBody {
		wrong("MAX_BODY_MEMORY must be at least %d, the size of one body", httpapi.MaxBody)
	}
	if c.ShutdownDelay < 0 {
		wrong("SHUTDOWN_DELAY must not be negative")
	}
	if c.DatabaseTransactionPooling && c.MigrateDatabaseURL == "" {
		wrong("MIGRATE_DATABASE_URL is required with DATABASE_TRANSACTION_POOLING: migrations need a session of their own")
	}
	if c.ShutdownTimeout <= 0 {
		wrong("SHUTDOWN_TIMEOUT must be positive")
	}
	if c.LogFormat != "json" && c.LogFormat != "text" {
		wrong("LOG_FORMAT must be json or text")
	}
	if !httpapi.ValidID(c.DefaultTenant) {
		wrong("DEFAULT_TENANT must match %s", httpapi.IDPattern)
	}
	return errors.Join(errs...)
}

// checkURL never quotes the URL or the parser's error, since both may contain the password.
func checkURL(raw Secret, schemes ...string) error {
	if raw == "" {
		return errors.New("is required")
	}
	u, err := url.Parse(raw.Reveal())
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" && u.RawQuery == "" {
		return fmt.Errorf("must be a URL that starts with %s://", schemes[0])
	}
	return nil
}

func parseBool(value string) (any, error) {
	switch value {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

// describe replaces the names of Go fields in the parser's errors by those of the variables.
func describe(config reflect.Type, err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	variables := map[string]string{}
	eachVariable(config, func(f reflect.StructField, name string) { variables[f.Name] = name })
	errs := make([]error, 0, len(all.Errors))
	for _, e := range all.Errors {
		if parse, ok := errors.AsType[env.ParseError](e); ok && variables[parse.Name] != "" {
			e = fmt.Errorf("%s: %w", variables[parse.Name], parse.Err)
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// eachVariable calls f for every field with a variable, in nested structs as well.
func eachVariable(config reflect.Type, f func(field reflect.StructField, variable string)) {
	for field := range config.Fields() {
		if name := field.Tag.Get("env"); name != "" {
			f(field, name)
		} else if field.Type.Kind() == reflect.Struct {
			eachVariable(field.Type, f)
		}
	}
}
