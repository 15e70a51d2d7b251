module github.com/quadrille-dev/quadrille/e2e

go 1.26.0

replace (
	github.com/quadrille-dev/quadrille/contracts => ../contracts
	github.com/quadrille-dev/quadrille/pkg/chassis => ../pkg/chassis
	github.com/quadrille-dev/quadrille/pkg/events => ../pkg/events
	github.com/quadrille-dev/quadrille/pkg/testservers => ../pkg/testservers
	github.com/quadrille-dev/quadrille/sims => ../sims
)

require (
	github.com/google/uuid v1.6.0
	github.com/jackc/pgx/v5 v5.12.0
	github.com/quadrille-dev/quadrille/pkg/testservers v0.0.0-00010101000000-000000000000
	github.com/rabbitmq/amqp091-go v1.16.0
)

require (
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	golang.org/x/text v0.41.0 // indirect
)
