module github.com/quadrille-dev/quadrille/contracts

go 1.26.0
