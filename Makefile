# What one does in this repository. "make" alone lists it. ARGS='…' is passed on to the command.
#
# "work" is the go command's pattern for every package of every module in go.work.

.DEFAULT_GOAL := help
.PHONY: help demo test alerts lint fmt generate up-embedded up up-tls observe down clean memory e2e

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## tell nine stories of an order on a shop of its own, and prove the books; needs Go only
	@go run ./cmd/quadrille demo $(ARGS)

test: ## run all tests on real servers, which are found or started
	scripts/test $(ARGS)

alerts: ## check the alert rules and run their tests; needs promtool, or fetches it on Debian
	scripts/test-alerts

lint: ## check formatting, vet, staticcheck, who imports whom, and that each module stands alone
	scripts/lint

fmt: ## format all Go code with gofumpt
	scripts/build-tools gofumpt
	.bin/gofumpt -w .

generate: ## run go generate everywhere
	go generate work

up-embedded: ## open the whole shop in one process on the usual ports, until Ctrl-C; needs Go only
	@go run ./cmd/quadrille up $(ARGS)

up: ## build and start the shop in Docker, wait until it is healthy, say where it is
	scripts/up

up-tls: ## the same with TLS to RabbitMQ and Postgres, after making certificates for them
	scripts/up --tls

observe: ## the same, with metrics, alerts, dashboards, traces and a ledger beside it
	scripts/up --observe

down: ## stop the shop; its data stays
	docker compose --profile '*' down

clean: ## stop the shop, delete its data and everything that was built
	rm -rf .bin
	if command -v docker >/dev/null; then docker compose --profile '*' down --volumes --remove-orphans; fi

memory: ## say how much memory the shop that make up started may take, and takes
	@scripts/memory

e2e: ## run the end-to-end suite against the shop that make up started
	QUADRILLE_E2E=compose go test -C e2e -count=1 -timeout=45m -v ./...
