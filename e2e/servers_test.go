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

// Servers are the shop's broker and databases, by who connects to them.
type Servers struct {
	Broker   map[string]string // user → amqp URL
	Database map[string]string // role → URL of its service's database
	CAFile   string            // who vouches for them, if they speak TLS
	Foreign  map[string]string // addresses that must not let anybody in → what they say
}

// serviceNames have a user on the broker, a database, and two roles.
var serviceNames = []string{"order", "inventory", "payment", "shipping"}

// addresses are the settings by which a service connects.
func (s Servers) addresses(service string) []string {
	return []string{
		"AMQP_URL=" + s.Broker[service], "DATABASE_URL=" + s.Database[service], "MIGRATE_DATABASE_URL=" + s.Database[service+"_owner"],
	}
}

// processServers gives servers of the harness the rights of deploy/: in the virtual host everybody may do what
// definitions.json says. The Postgres must be nobody else's, since roles are known in all databases of a server.
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
		if err := makeDatabase(t.Context(), server, service); err != nil {
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
	s.Foreign = map[string]string{wrong.String(): "username or password not allowed"}
	return s, nil
}

// makeDatabase does what deploy/postgres/init.sh does for one service, without psql.
func makeDatabase(ctx context.Context, server, service string) error {
	rights, err := os.ReadFile("../deploy/postgres/service.sql")
	if err != nil {
		return err
	}
	statements := strings.NewReplacer(
		`:"DBNAME"`, `"`+service+`"`, `:"service"`, `"`+service+`"`, `:"owner"`, `"`+service+`_owner"`,
		`:'password'`, `'quadrille'`, `:'owner_password'`, `'quadrille'`,
	).Replace(string(rights))
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

// inDatabase is the same server and role, and another database.
func inDatabase(address, name string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// overTLS says whether compose runs with deploy/tls/compose.yml.
func overTLS() bool { return os.Getenv("QUADRILLE_TLS") == "on" }

// composeFiles are options of docker compose.
func composeFiles() []string {
	files := []string{"-f", "../docker-compose.yml"}
	if overTLS() {
		files = append(files, "-f", "../deploy/tls/compose.yml")
	}
	return files
}

// composeServers are those of docker-compose.yml, with the passwords of .env.example or of the environment.
func composeServers() Servers {
	s := Servers{Broker: map[string]string{}, Database: map[string]string{}}
	password := func(server, who string) string {
		return cmp.Or(os.Getenv(server+"_PASSWORD_"+strings.ToUpper(who)), "quadrille")
	}
	broker := func(user, password string) string { return "amqp://" + user + ":" + password + "@localhost:5672/" }
	database := func(role, password, name string) string {
		return "postgres://" + role + ":" + password + "@localhost:5432/" + name
	}
	s.Foreign = map[string]string{
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
		s.Foreign = map[string]string{
			plain("order", password("RABBITMQ", "order")): "connection re",
			// The certificates are for the name, and not for the address.
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
