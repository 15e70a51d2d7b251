package chassis

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Config holds the settings that all services share. A service embeds it in its own Config, adds fields with
// `env` tags, and presets what differs from the defaults below, such as its port.
type Config struct {
	// HTTPAddr is the listening address. A port of 0 takes any free one; see OnListen.
	HTTPAddr string `env:"HTTP_ADDR" envDefault:":8080"`
	// DatabaseURL is a postgres:// URL. Required.
	DatabaseURL Secret `env:"DATABASE_URL"`
	// MigrateDatabaseURL leads to the same database as a role that may change tables, if that of DatabaseURL may not.
	// It is used at the start only; see AsOwner.
	MigrateDatabaseURL Secret `env:"MIGRATE_DATABASE_URL"`
	// DatabaseMaxConns bounds the connection pool of this instance.
	DatabaseMaxConns int `env:"DATABASE_MAX_CONNS" envDefault:"20"`
	// AMQPURL is an amqp:// or amqps:// URL. Required.
	AMQPURL Secret `env:"AMQP_URL"`
	// AMQPCAFile names a PEM file with the authorities that may vouch for an amqps:// broker, instead of the system's.
	AMQPCAFile string `env:"AMQP_CA_FILE"`
	// Audit keeps published events in the append-only event_log.
	Audit bool `env:"EVENTS_AUDIT" envDefault:"false"`
	// OpsToken opens the endpoints under /ops. Without one they refuse everybody.
	OpsToken Secret `env:"OPS_TOKEN"`
	// RetryLadder lists the delays before a failed delivery is tried again, in rising order.
	RetryDelays []time.Duration `env:"RETRY_DELAYS" envDefault:"1s,5s,30s,2m,10m"`
	// ShutdownTimeout is how long work under way may take to finish after a signal to stop.
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"20s"`
	// LogLevel is debug, info, warn or error.
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	// LogFormat is json or text.
	LogFormat string `env:"LOG_FORMAT" envDefault:"json"`
	// DefaultTenant is whose data a request without X-Tenant-ID is about.
	DefaultTenant string `env:"DEFAULT_TENANT" envDefault:"default"`

	// MaxRequests, if set, is how many requests are served at once; the others wait for their turn. It keeps a service
	// that shares its processors and connections with much else from giving all of them to those who ask.
	MaxRequests int
	// Listener, if set, is served instead of HTTPAddr. Run closes it. Main sets it.
	Listener net.Listener
	// OnListen, if set, is called with the address once the server accepts connections.
	OnListen func(net.Addr)
}

// Configured is a [Config], or any struct that embeds one by value.
type Configured interface{ shared() Config }

func (c Config) shared() Config { return c }

func (c *Config) listenOn(l net.Listener) { c.Listener = l }

// ParseEnv fills a configuration from environ, a list of NAME=value as [os.Environ] gives it. A variable that is
// absent or empty leaves the value in defaults, or, where that is zero, the one in the `envDefault` tag.
//
// If T has a method Validate() error, it is called as well. The error names every variable that is wrong.
func ParseEnv[T Configured](defaults T, environ []string) (T, error) {
	parsers := map[reflect.Type]env.ParserFunc{reflect.TypeFor[bool](): parseBool}

	// The first pass fills in the tags' defaults. It can fail only for variables that are required, as the second will.
	cfg := defaults
	_ = env.ParseWithOptions(&cfg, env.Options{
		Environment: map[string]string{}, SetDefaultsForZeroValuesOnly: true, FuncMap: parsers,
	})
	// The second takes what is set; its tag for defaults is one that nobody uses. Two passes, because the library would
	// else let presets win over variables, and leave a field whose variable is malformed zero, which is a second mistake.
	var mistakes []error
	if err := env.ParseWithOptions(&cfg, env.Options{
		Environment: env.ToMap(environ), DefaultValueTagName: "envNoDefault", FuncMap: parsers,
	}); err != nil {
		mistakes = append(mistakes, describe(reflect.TypeFor[T](), err))
	}
	mistakes = append(mistakes, cfg.shared().validate())
	if v, ok := any(cfg).(interface{ Validate() error }); ok {
		mistakes = append(mistakes, v.Validate())
	} else if v, ok := any(&cfg).(interface{ Validate() error }); ok {
		mistakes = append(mistakes, v.Validate())
	}
	return cfg, errors.Join(mistakes...)
}

// validate is not the exported Validate, because a service's own method would hide that.
func (c Config) validate() error {
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }

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
	if c.ShutdownTimeout <= 0 {
		wrong("SHUTDOWN_TIMEOUT must be positive")
	}
	if c.LogFormat != "json" && c.LogFormat != "text" {
		wrong("LOG_FORMAT must be json or text")
	}
	if !httpapi.ValidID(c.DefaultTenant) {
		wrong("DEFAULT_TENANT must match %s", httpapi.IDPattern)
	}
	if len(c.RetryDelays) == 0 || slices.Min(c.RetryDelays) <= 0 || !slices.IsSorted(c.RetryDelays) {
		wrong("RETRY_DELAYS must be positive durations in rising order")
	}
	return errors.Join(mistakes...)
}

// checkURL never quotes the URL or the parser's error, since both may hold the password.
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

// describe renames the Go fields in the parser's errors to the variables that people set.
func describe(config reflect.Type, err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	mistakes := make([]error, 0, len(all.Errors))
	for _, e := range all.Errors {
		var parse env.ParseError
		if errors.As(e, &parse) {
			if field, ok := config.FieldByName(parse.Name); ok {
				name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
				e = fmt.Errorf("%s: %w", name, parse.Err)
			}
		}
		mistakes = append(mistakes, e)
	}
	return errors.Join(mistakes...)
}
