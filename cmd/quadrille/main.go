// Command quadrille runs the whole stack in one process, plays a demonstration, declares the topology on a broker, and opens
// the packages under verify/ to the command line: reconciliation and load tests.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	// The first signal ends the context. A second one has its default effect.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses. A command may choose others with an exitError.
const (
	statusFailed     = 1
	statusWrongUsage = 2
)

// run executes a command line and returns the exit status.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := command()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	status := statusWrongUsage // of errors before a command starts
	root.PersistentPreRun = func(*cobra.Command, []string) { status = statusFailed }

	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit *exitError
	if errors.As(err, &exit) {
		status = exit.status
	}
	if exit == nil || exit.err != nil {
		fmt.Fprintln(errOut, "quadrille:", err)
	}
	return status
}

// exitError ends the process with a status. If err is nil, nothing is printed.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// wrongUsage returns an error about flags, arguments or settings.
func wrongUsage(format string, args ...any) error {
	return &exitError{statusWrongUsage, fmt.Errorf(format, args...)}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "quadrille",
		Short:         "Run, demonstrate and verify the Quadrille stack",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), demoCommand(), topologyCommand(), reconcileCommand(), loadCommand())
	return root
}
