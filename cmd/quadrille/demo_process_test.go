package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// demoProcess is quadrille demo in a process of its own, with its own folder for temporary files.
type demoProcess struct {
	cmd       *exec.Cmd
	out       *bufio.Reader
	reader    io.Closer // of what it prints
	errOut    *bytes.Buffer
	temporary string
	ended     <-chan struct{} // closed when the demo and every process that it started have ended
}

// build builds the program. The test program would need an environment variable, which the demo's stack does not get.
func build(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "quadrille")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func startDemo(t *testing.T, program string, environ []string, args ...string) *demoProcess {
	t.Helper()
	p := &demoProcess{errOut: &bytes.Buffer{}, temporary: t.TempDir()}
	// All processes inherit the end of a pipe, which closes with the last one.
	alive, inherited, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	p.ended = ended
	p.cmd = exec.Command(program, append([]string{"demo"}, args...)...)
	p.cmd.ExtraFiles = []*os.File{inherited}
	p.cmd.Env = append(append(os.Environ(), environ...), "TMPDIR="+p.temporary)
	p.cmd.Stderr = p.errOut
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out, p.reader = bufio.NewReader(out), out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // it may have ended
	inherited.Close()
	go func() {
		_, _ = io.Copy(io.Discard, alive)
		alive.Close()
		close(ended)
	}()
	return p
}

// awaitLine blocks until the demo prints a line with this text.
func (p *demoProcess) awaitLine(t *testing.T, words string) {
	t.Helper()
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			t.Fatalf("it ended before it printed %q: %v", words, err)
		}
		if strings.Contains(line, words) {
			return
		}
	}
}

func (p *demoProcess) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func (p *demoProcess) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *demoProcess) files(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.temporary, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestDemo_CleansUp(t *testing.T) {
	t.Parallel()
	program := build(t)
	for name, end := range map[string]func(t *testing.T, p *demoProcess){
		"its output is closed": func(t *testing.T, p *demoProcess) {
			p.awaitLine(t, "Quadrille")
			p.reader.Close()
		},
		"it is killed": func(t *testing.T, p *demoProcess) {
			p.awaitLine(t, "does not respond")
			p.signal(t, os.Kill)
		},
		"its terminal is closed": func(t *testing.T, p *demoProcess) {
			p.awaitLine(t, "does not respond")
			p.signal(t, syscall.SIGHUP)
		},
		"Ctrl-C while the stack starts": func(t *testing.T, p *demoProcess) {
			until(t, "the demo has a folder", func() bool { return len(p.files(t)) > 0 })
			p.signal(t, os.Interrupt)
		},
		"Ctrl-C repeatedly": func(t *testing.T, p *demoProcess) {
			p.awaitLine(t, "does not respond")
			until(t, "the demo and its stack have ended", func() bool {
				_ = p.cmd.Process.Signal(os.Interrupt) // until it has ended
				return p.gone()
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Stories that take long enough to end the demo in the first one.
			p := startDemo(t, program, nil, "--story", "cancelled,too-late,processor-down,twice,killed")
			end(t, p)
			if p.cmd.Wait() == nil {
				t.Error("exit status 0")
			}
			until(t, "the demo and its stack have ended", p.gone)
			if left := p.files(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			output := p.errOut.String()
			if strings.Contains(output, "EOF") || strings.Contains(output, "pipe") {
				t.Errorf("unexpected error: %q", output)
			}
			if strings.HasPrefix(name, "Ctrl-C while") && !strings.Contains(output, "stopped") {
				t.Errorf("missing \"stopped\": %q", output)
			}
		})
	}
}

func TestDemo_CleanEnvironment(t *testing.T) {
	t.Parallel()
	p := startDemo(t, build(t), []string{
		"ORDER_PAYMENT_DEADLINE=1ms", "RETRY_DELAYS=soon", "EVENTS_AUDIT=false", "OPS_TOKEN=secret", "CARRIER_DISPATCH_DELAY=1h",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1",
	}, "--story", "happy")
	out, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v: %s\n%s", err, p.errOut, out)
	}
}

func TestDemoEnviron(t *testing.T) {
	t.Parallel()
	theirs := map[string]string{
		"PATH": "/bin", "TMPDIR": "", "LOG_LEVEL": "debug", "RETRY_DELAYS": "1h", "EVENTS_AUDIT": "false", "OPS_TOKEN": "secret",
	}
	lookup := func(name string) (string, bool) {
		value, set := theirs[name]
		return value, set
	}
	own := []string{"EVENTS_AUDIT=true", "CARRIER_DELIVERY_DELAY=1s", "CARRIER_DISPATCH_DELAY=1s", "LOG_LEVEL=debug", "PATH=/bin"}
	for delays, want := range map[time.Duration][]string{
		0:           slices.Concat(own, []string{"TMPDIR="}),
		time.Second: slices.Concat(own, []string{"RETRY_DELAYS=1s,2s", "TMPDIR="}),
	} {
		var all []time.Duration
		if delays > 0 {
			all = []time.Duration{delays, 2 * delays}
		}
		got := demoEnviron(lookup, all)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with the delays %v (-want +got):\n%s", all, diff)
		}
	}
}
