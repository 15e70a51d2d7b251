package events_test

import (
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/verify/testservers"
)

const (
	quickstart         = "../../examples/quickstart"
	quickstartRabbitMQ = "../../examples/quickstart-rabbitmq"
)

func TestREADME_BlocksEqualExamples(t *testing.T) {
	t.Parallel()
	blocks := strings.Split(readFile(t, "../../pkg/events/README.md"), "```go\n")[1:]
	for i := range blocks {
		blocks[i], _, _ = strings.Cut(blocks[i], "```")
	}
	if len(blocks) < 2 {
		t.Fatalf("%d blocks of Go code", len(blocks))
	}
	if blocks[0] != readFile(t, quickstart+"/main.go") {
		t.Error("the first block differs from examples/quickstart/main.go")
	}
	changed := readFile(t, quickstartRabbitMQ+"/main.go")
	for _, block := range blocks[1:] {
		if !strings.Contains(changed, block) {
			t.Errorf("examples/quickstart-rabbitmq/main.go does not contain\n%s", block)
		}
	}
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	runTwice(t, quickstart)
}

func TestQuickstart_RabbitMQ(t *testing.T) {
	t.Parallel()
	runTwice(t, quickstartRabbitMQ, "DATABASE_URL="+testservers.Database(t), "AMQP_URL="+testservers.AMQP(t))
}

// runTwice runs an example twice in an empty folder, the second time with what the first has left.
func runTwice(t *testing.T, example string, environment ...string) {
	t.Helper()
	folder := t.TempDir()
	program := filepath.Join(folder, "program")
	if output, err := osexec.CommandContext(t.Context(), "go", "build", "-o", program, example).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, want := range []string{"order 1 is confirmed\n", "order 2 is confirmed\n"} {
		run := osexec.CommandContext(t.Context(), program)
		run.Dir, run.Env = folder, append(os.Environ(), environment...)
		if output, err := run.CombinedOutput(); err != nil || !strings.Contains(string(output), want) {
			t.Fatalf("%v, want %q:\n%s", err, want, output)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
