// Package importrules tests the rules of who may import whom, which are depguard's lists in .golangci.yml: each must
// forbid what it is there for, and leave alone what the design allows.
package importrules
