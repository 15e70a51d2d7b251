module github.com/quadrille-dev/quadrille/sims

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/google/uuid v1.6.0
	github.com/stripe/stripe-go/v85 v85.0.0
)
