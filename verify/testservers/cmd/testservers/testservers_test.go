package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// program is the path of this command, which is built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "testservers")
	if output, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		panic(string(output))
	}
	m.Run()
	_ = os.RemoveAll(dir)
}

func TestExec_ReturnsStatusOfCommand(t *testing.T) {
	t.Parallel()
	cmd := command(t, "exec", "--", "sh", "-c", "exit 7")
	cmd.Env = append(cmd.Env, servers.DatabaseURL+"=postgres://somewhere", servers.AMQPURL+"=amqp://somewhere")
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		t.Errorf("%v, want status 7", err)
	}
}

func TestExec_ForwardsSignals(t *testing.T) {
	t.Parallel()
	cmd := command(t, "exec", "--", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do read line || exit 1; done")
	cmd.Env = append(cmd.Env, servers.DatabaseURL+"=postgres://somewhere", servers.AMQPURL+"=amqp://somewhere")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := startCommand(t, cmd)
	if line := next(t, lines); line != "ready" {
		t.Fatalf("%q instead of ready", line)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// A shell may wait for its read to end before it runs the trap.
	await(t, "end of the command", func() bool {
		_, err := stdin.Write([]byte("\n"))
		return err != nil
	})
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); !ok || exit.ExitCode() != 9 {
		t.Errorf("%v, want status 9", exit)
	}
}

func TestExec_FromEnvironmentOnly(t *testing.T) {
	t.Parallel()
	cmd := command(t, "exec", "--", "true")
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, servers.Source+"=") })
	cmd.Env = append(cmd.Env, servers.Source+"=env")
	output, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(output), servers.DatabaseURL) {
		t.Errorf("%v, %s: want an error with %s", err, output, servers.DatabaseURL)
	}
}

func TestExec_RemovesServersWhenKilled(t *testing.T) {
	t.Parallel()
	folder := openFolder(t)
	cmd := command(t, "exec", "--", "sh", "-c", "echo $"+servers.DatabaseURL+"; echo $"+servers.AMQPURL+"; exec cat")
	cmd.Env = append(cmd.Env, "TMPDIR="+folder)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	lines := startCommand(t, cmd)
	addresses := []string{next(t, lines), next(t, lines)}
	for _, address := range addresses {
		if !listening(t, address) {
			t.Fatalf("no server at %s", address)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, address := range addresses {
		await(t, "end of "+address, func() bool { return !listening(t, address) })
	}
	await(t, "empty folder", func() bool { return empty(t, folder) })
}

func TestServe_RemovesLeftoversOfKilledRun(t *testing.T) {
	t.Parallel()
	folder := openFolder(t)
	serve := func() (*exec.Cmd, string) {
		cmd := command(t, "serve", "postgres")
		cmd.Env = append(cmd.Env, "TMPDIR="+folder)
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		var first servers.Reply
		if err := json.Unmarshal([]byte(next(t, startCommand(t, cmd))), &first); err != nil || first.Error != "" {
			t.Fatalf("%v %s", err, first.Error)
		}
		return cmd, first.Environment[servers.DatabaseURL]
	}

	killed, address := serve()
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()

	following, _ := serve()
	await(t, "end of the first server", func() bool { return !listening(t, address) })
	if err := following.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := following.Wait(); err != nil {
		t.Error(err)
	}
	if !empty(t, folder) {
		t.Error("a folder was left behind")
	}
}

func TestImages_AreSameAsInCompose(t *testing.T) {
	t.Parallel()
	compose, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{postgresImage, rabbitmqImage} {
		if !strings.Contains(string(compose), "image: "+image+"\n") {
			t.Errorf("docker-compose.yml does not use %s", image)
		}
	}
}

// command returns a command for the program, without the addresses of servers in the environment of this test.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = nil
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{servers.DatabaseURL, servers.AMQPURL, servers.ManagementURL}, name)
	})
	return cmd
}

// startCommand starts cmd and returns its output. cmd is killed when t ends.
func startCommand(t *testing.T, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return bufio.NewScanner(stdout)
}

func next(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("no more output: %v", lines.Err())
	}
	return lines.Text()
}

// listening reports whether a server listens at the host and port of a URL.
func listening(t *testing.T, address string) bool {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// openFolder returns a temporary folder that all users can enter: if this process is root, servers run as another one.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "") //nolint:usetesting // the parents of t.TempDir() are closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

func empty(t *testing.T, folder string) bool {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries) == 0
}

// await polls until met returns true. It fails the test after a minute.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-deadline.Done():
			t.Fatalf("timeout: %s", what)
		case <-tick.C:
		}
	}
}
