package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// Servers are the URLs of the stack's broker and databases.
type Servers struct {
	Broker   map[string]string // URL of the broker by user
	Database map[string]string // URL of the service's database by role
	CAFile   string            // certificate authority; empty without TLS
	Invalid  map[string]string // error message by URL with which no connection may succeed
}

// Each service has a user of the broker, a database, and two roles.
var serviceNames = []string{"order", "inventory", "payment", "shipping"}

// settings returns the environment with which a service connects.
func (s Servers) settings(service string) []string {
	return []string{
		"AMQP_URL=" + s.Broker[service], "DATABASE_URL=" + s.Database[service], "MIGRATE_DATABASE_URL=" + s.Database[service+"_owner"],
	}
}

// processServers prepares servers with the permissions of deploy/: the users of definitions.json in the virtual host, and
// the databases and roles of service.sql. The database server must be used by this stack only, because roles belong to all
// databases of a server.
func processServers(t testing.TB, vhost, server string) (s Servers, err error) {
	s.Broker, s.Database = map[string]string{}, map[string]string{}
	file, err := os.ReadFile("../deploy/rabbitmq/definitions.json")
	if err != nil {
		return s, err
	}
	var definitions struct {
		Permissions []struct{ User, Configure, Write, Read string }
	}
	if err := json.Unmarshal(file, &definitions); err != nil {
		return s, err
	}
	for _, p := range definitions.Permissions {
		s.Broker[p.User] = testservers.User(t, vhost, p.Configure, p.Write, p.Read)
	}

	for _, service := range serviceNames {
		if err := createDatabase(t.Context(), server, service); err != nil {
			return s, fmt.Errorf("database of %s: %w", service, err)
		}
		for _, role := range []string{service, service + "_owner"} {
			if s.Database[role], err = databaseURL(server, role, service); err != nil {
				return s, err
			}
		}
	}
	wrong, err := url.Parse(s.Broker["order"])
	if err != nil {
		return s, err
	}
	wrong.User = url.UserPassword(wrong.User.Username(), "guessed")
	s.Invalid = map[string]string{wrong.String(): "username or password not allowed"}
	return s, nil
}

// createDatabase does for one service what deploy/postgres/init.sh does with psql.
func createDatabase(ctx context.Context, server, service string) error {
	permissions, err := os.ReadFile("../deploy/postgres/service.sql")
	if err != nil {
		return err
	}
	statements := strings.NewReplacer(
		`:"DBNAME"`, `"`+service+`"`, `:"service"`, `"`+service+`"`, `:"owner"`, `"`+service+`_owner"`,
		`:'password'`, `'quadrille'`, `:'owner_password'`, `'quadrille'`,
	).Replace(string(permissions))
	if err := execute(ctx, server, `create database "`+service+`"`); err != nil {
		return err
	}
	database, err := inDatabase(server, service)
	if err != nil {
		return err
	}
	return execute(ctx, database, statements)
}

func execute(ctx context.Context, address, statements string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statements)
	return cmp.Or(err, conn.Close(ctx))
}

func databaseURL(server, role, database string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.User, u.Path = url.UserPassword(role, "quadrille"), "/"+database
	return u.String(), nil
}

// inDatabase returns the URL with another database.
func inDatabase(address, name string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// overTLS reports whether compose runs with deploy/tls/compose.yml.
func overTLS() bool { return os.Getenv("QUADRILLE_TLS") == "true" }

// composeFiles returns the options of docker compose that select its files.
func composeFiles() []string {
	files := []string{"-f", "../docker-compose.yml"}
	if overTLS() {
		files = append(files, "-f", "../deploy/tls/compose.yml")
	}
	return files
}

// composeServers returns the servers of docker-compose.yml, with the passwords of .env.example or of the environment.
func composeServers() Servers {
	s := Servers{Broker: map[string]string{}, Database: map[string]string{}}
	password := func(server, user string) string {
		return cmp.Or(os.Getenv(server+"_PASSWORD_"+strings.ToUpper(user)), "quadrille")
	}
	broker := func(user, password string) string { return "amqp://" + user + ":" + password + "@localhost:5672/" }
	database := func(role, password, name string) string {
		return "postgres://" + role + ":" + password + "@localhost:5432/" + name
	}
	s.Invalid = map[string]string{
		broker("guest", "guest"):            "username or password not allowed",
		broker("order", "guessed"):          "username or password not allowed",
		database("order", "guess", "order"): "password authentication failed",
	}
	if overTLS() {
		s.CAFile = "../deploy/tls/certs/ca.pem"
		plain, plainDatabase := broker, database
		broker = func(user, password string) string { return "amqps://" + user + ":" + password + "@localhost:5671/" }
		database = func(role, password, name string) string {
			return plainDatabase(role, password, name) + "?sslmode=verify-full&sslrootcert=" + s.CAFile
		}
		s.Invalid = map[string]string{
			plain("order", password("RABBITMQ", "order")): "connection re",
			// The certificates are valid for the name, not for the address.
			strings.Replace(broker("order", password("RABBITMQ", "order")), "localhost", "127.0.0.1", 1):            "cannot validate certificate",
			strings.Replace(database("order", password("POSTGRES", "order"), "order"), "localhost", "127.0.0.1", 1): "cannot validate certificate",
			plainDatabase("order", password("POSTGRES", "order"), "order") + "?sslmode=disable":                     "no encryption",
			plainDatabase("order", password("POSTGRES", "order"), "order") + "?sslmode=verify-full":                 "unknown authority",
		}
	}
	for _, user := range append([]string{"topology", "monitor", "operator"}, serviceNames...) {
		s.Broker[user] = broker(user, password("RABBITMQ", user))
	}
	for _, service := range serviceNames {
		for _, role := range []string{service, service + "_owner"} {
			s.Database[role] = database(role, password("POSTGRES", role), service)
		}
	}
	return s
}
