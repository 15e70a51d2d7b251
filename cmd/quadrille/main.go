// Command quadrille opens the shop in one process, plays stories on it, lets many customers come to it, declares what the
// services need on a broker, and checks their books.
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
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	// Once the first signal has been seen, the next one has its default effect.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes a command line and answers the exit status: 0 if all is well, 1 if the command fails, 2 if it was used
// wrongly, or what the command itself says with an exitError.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := command()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	failed := 2 // until a command begins, only its use can be wrong
	root.PersistentPreRun = func(*cobra.Command, []string) { failed = 1 }

	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit *exitError
	if errors.As(err, &exit) {
		failed = exit.status
	}
	if exit == nil || exit.err != nil {
		fmt.Fprintln(errOut, "quadrille:", err)
	}
	return failed
}

// exitError ends the process with a status. Without an err everything has been said.
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

// wrongUsage is what people can mend by reading --help.
func wrongUsage(format string, args ...any) error { return &exitError{2, fmt.Errorf(format, args...)} }

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "quadrille",
		Short:         "Run and check the Quadrille shop",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), demoCommand(), topologyCommand(), ledgerCommand(), loadCommand())
	return root
}
