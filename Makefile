# What there is to run in this repository. "make" alone lists it. ARGS='…' is passed on to the command.
#
# "work" is the go command's pattern for every package of every module in go.work.

.DEFAULT_GOAL := help
.PHONY: help demo test test-all alerts lint fmt tidy generate up-embedded up up-tls observe down clean memory e2e

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## place orders in a stack of its own, break it, watch it recover; needs Go only
	@go run ./cmd/quadrille demo $(ARGS)

test: ## run the tests, but those that take minutes, on real servers, which are found or started
	scripts/test $(ARGS)

test-all: ## run all tests, with the race detector, as CI does
	scripts/test --all $(ARGS)

alerts: ## check the alert rules and run their tests; needs promtool, or fetches it on Debian
	scripts/test-alerts

lint: ## run golangci-lint and the checks of modules, published packages, scripts, workflows and words
	scripts/lint

fmt: ## format all Go code
	scripts/build-tools golangci-lint
	.bin/golangci-lint fmt .

tidy: ## tidy all modules and complete go.work.sum
	scripts/tidy

generate: ## run go generate everywhere
	go generate work

up-embedded: ## start the whole stack in one process on the usual ports, until Ctrl-C; needs Go only
	@go run ./cmd/quadrille up $(ARGS)

up: ## build and start the stack in Docker, wait until it is healthy, print its addresses
	scripts/up

up-tls: ## the same with TLS to RabbitMQ and Postgres, after making certificates for them
	scripts/up --tls

observe: ## the same with metrics, alerts, dashboards, traces and reconciliation
	scripts/up --observe

down: ## stop the stack; its data stays
	docker compose --profile '*' down

clean: ## stop the stack, delete its data and everything that was built
	rm -rf .bin
	if command -v docker >/dev/null; then docker compose --profile '*' down --volumes --remove-orphans; fi

memory: ## print limit, use and peak of memory of the stack that make up started
	@scripts/memory

e2e: ## run the end-to-end tests against the stack that make up started
	QUADRILLE_E2E=compose go test -count=1 -timeout=45m -v ./e2e/...
