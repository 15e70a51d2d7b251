package main

// A rule says what some files may not import.
//
// Files are named by their path from the root of the repository. Imports are named "std" (anything of the standard
// library), "./path" (ours, by its path from the root) or by their full path (anybody else's). In both, "*" stands for
// a part of a path element, "..." for anything, and "X" for the name of the service that the file belongs to.
type rule struct {
	says    string   // for the message
	files   []string // the rule is about these files,
	except  []string // but not about these;
	imports []string // it forbids these imports,
	allowed []string // but not these.
}

var rules = []rule{
	{
		says:    "contracts import the standard library only",
		files:   []string{"contracts/..."},
		except:  []string{"..._test.go"},
		imports: []string{"..."},
		allowed: []string{"std", "./contracts..."},
	},
	{
		says:    "contracts import nothing else of ours",
		files:   []string{"contracts/..._test.go"},
		imports: []string{"./..."},
		allowed: []string{"./contracts..."},
	},
	{
		says:    "pkg/events stands alone: it imports neither the chassis nor the contracts nor anything else of ours",
		files:   []string{"pkg/events/..."},
		imports: []string{"./..."},
		allowed: []string{"./pkg/events...", "./verify/testservers"},
	},
	{
		says:    "transports do not import each other",
		files:   []string{"pkg/events/rabbitmq/..."},
		imports: []string{"./pkg/events/inprocess..."},
	},
	{
		says:    "transports do not import each other",
		files:   []string{"pkg/events/inprocess/..."},
		imports: []string{"./pkg/events/rabbitmq..."},
	},
	{
		says:    "pkg/chassis knows the library, and no service or contract",
		files:   []string{"pkg/chassis/..."},
		imports: []string{"./..."},
		allowed: []string{"./pkg/...", "./verify/testservers"},
	},
	{
		says:    "verify/testservers imports nothing else of ours",
		files:   []string{"verify/testservers/..."},
		imports: []string{"./..."},
		allowed: []string{"./verify/testservers..."},
	},
	{
		says:    "a service imports contracts and pkg, and neither another service nor the simulators",
		files:   []string{"services/..."},
		imports: []string{"./..."},
		allowed: []string{"./contracts...", "./pkg/...", "./services/X", "./services/X/...", "./verify/testservers"},
	},
	{
		says:    "a service's domain file imports the standard library and the contracts only",
		files:   []string{"services/X/X.go"},
		imports: []string{"..."},
		allowed: []string{"std", "./contracts"},
	},
	{
		says:    "the simulators stand for other people's systems and import nothing of ours",
		files:   []string{"simulators/..."},
		imports: []string{"./..."},
		allowed: []string{"./simulators...", "./verify/testservers"},
	},
	{
		says:    "e2e is a black box: it imports no service and no program",
		files:   []string{"e2e/..."},
		imports: []string{"./services/...", "./cmd/..."},
	},
	{
		says:    "nobody imports e2e",
		files:   []string{"..."},
		except:  []string{"e2e/..."},
		imports: []string{"./e2e..."},
	},
	{
		says:    "the model runs the services' rules, and neither the simulators nor a program",
		files:   []string{"model/..."},
		imports: []string{"./..."},
		allowed: []string{"./model...", "./services/...", "./contracts", "./pkg/events"},
	},
	{
		says:    "nobody imports the model",
		files:   []string{"..."},
		except:  []string{"model/..."},
		imports: []string{"./model..."},
	},
	{
		says:    "examples use pkg/events alone",
		files:   []string{"examples/..."},
		imports: []string{"./..."},
		allowed: []string{"./pkg/events...", "./verify/testservers"},
	},
	{
		says:    "only cmd/quadrille, and tests of pkg/events, use the in-process transport and SQLite",
		files:   []string{"..."},
		except:  []string{"cmd/quadrille/...", "pkg/events/inprocess/...", "pkg/events/..._test.go"},
		imports: append([]string{"./pkg/events/inprocess..."}, sqlite...),
	},
	{
		says:    "the in-process transport takes a database handle; the SQLite driver is its caller's choice",
		files:   []string{"pkg/events/inprocess/..."},
		except:  []string{"..._test.go"},
		imports: sqlite,
	},
	{
		says:    "verify/testservers is for tests",
		files:   []string{"..."},
		except:  []string{"..._test.go", "e2e/...", "verify/testservers/..."},
		imports: []string{"./verify/testservers..."},
	},
}

// sqlite lists the SQLite drivers that Go has.
var sqlite = []string{
	"github.com/glebarez/...sqlite...",
	"github.com/mattn/go-sqlite3...",
	"github.com/ncruces/go-sqlite3...",
	"gorm.io/driver/sqlite...",
	"modernc.org/sqlite...",
	"zombiezen.com/go/sqlite...",
}
