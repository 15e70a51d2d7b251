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
	github.com/getkin/kin-openapi v0.152.0
	github.com/goccy/go-yaml v1.19.2
	github.com/google/go-cmp v0.7.0
	github.com/google/uuid v1.6.0
	github.com/jackc/pgx/v5 v5.12.0
	github.com/quadrille-dev/quadrille/contracts v0.0.0-00010101000000-000000000000
	github.com/quadrille-dev/quadrille/pkg/testservers v0.0.0-00010101000000-000000000000
	github.com/rabbitmq/amqp091-go v1.16.0
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
)

require (
	github.com/go-openapi/jsonpointer v0.22.5 // indirect
	github.com/go-openapi/swag/jsonname v0.25.5 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/oasdiff/yaml v0.1.1 // indirect
	github.com/oasdiff/yaml3 v0.0.14 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)
