# The commands of this repository; "make" lists them. ARGS='…' is passed on to the command.
#
# "work" is the go command's pattern for every package of every module in go.work.

.DEFAULT_GOAL := help
.PHONY: help demo test test-all alerts lint fmt tidy generate up-embedded up up-tls observe down clean memory e2e

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run nine stories on a stack of its own, inject faults, verify the result; needs Go only
	@go run ./cmd/quadrille demo $(ARGS)

test: ## run the tests, except those that take minutes, on a real Postgres and RabbitMQ, found or started
	scripts/test $(ARGS)

test-all: ## run all tests, with the race detector, as CI does
	scripts/test --all $(ARGS)

alerts: ## check the alert rules and run their tests; needs promtool, which is fetched on Debian
	scripts/test-alerts

lint: ## run golangci-lint, and check modules, published packages, scripts, workflows and words
	scripts/lint

fmt: ## format all Go code
	scripts/build-tools golangci-lint
	.bin/golangci-lint fmt .

tidy: ## tidy all modules and complete go.work.sum
	scripts/tidy

generate: ## run go generate in all packages
	go generate work

up-embedded: ## run the whole stack in one process, on the usual ports, until Ctrl-C; needs Go only
	@go run ./cmd/quadrille up $(ARGS)

up: ## build and start the stack in Docker, wait until it is healthy, print its addresses
	scripts/up

up-tls: ## like up, with TLS to RabbitMQ and Postgres; makes the certificates
	scripts/up --tls

observe: ## like up, with metrics, alerts, dashboards, traces and reconciliation
	scripts/up --observe

down: ## stop the stack in Docker and keep its data
	docker compose --profile '*' down

clean: ## stop the stack in Docker, delete its data and all built files
	rm -rf .bin
	if command -v docker >/dev/null; then docker compose --profile '*' down --volumes --remove-orphans; fi

memory: ## print the memory limit, use and peak of each container
	@scripts/memory

e2e: ## run the end-to-end tests against the stack in Docker
	QUADRILLE_E2E=compose go test -count=1 -timeout=45m -v ./e2e/...
