package testservers

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestAbandoned_OnlyWhatADeadProcessOfThisMachineMade(t *testing.T) {
	t.Parallel()
	dead := deadProcess(t)
	for name, want := range map[string]bool{
		newName(): false,
		fmt.Sprintf("%s%s_%d_00", namePrefix, machine(), os.Getppid()): false,
		fmt.Sprintf("%s%s_%d_00", namePrefix, machine(), dead):         true,
		fmt.Sprintf("%s%s_%d_00", namePrefix, "elsewhere", dead):       false,
		"production": false,
	} {
		if got := abandoned(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

func TestSweep_DeletesWhatAKilledTestLeft(t *testing.T) {
	t.Parallel()
	server, err := databaseServer()
	if err != nil {
		t.Fatal(err)
	}
	b := sharedBroker(t)
	left := fmt.Sprintf("%s%s_%d_00", namePrefix, machine(), deadProcess(t))
	if err := administer(t.Context(), server, "CREATE DATABASE "+left); err != nil {
		t.Fatal(err)
	}
	if err := b.createVHost(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	if err := b.createUser(t.Context(), left, "password", left, "", "", ""); err != nil {
		t.Fatal(err)
	}

	if err := sweepDatabases(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	if err := b.sweepVHosts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.sweepUsers(t.Context()); err != nil {
		t.Fatal(err)
	}
	address, err := withDatabase(server, left)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.Connect(t.Context(), address); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database is still there")
	}
	if _, err := b.queueNames(t.Context(), left); err == nil {
		t.Error("the virtual host is still there")
	}
	if err := b.call(t.Context(), http.MethodGet, []string{"users", left}, nil, nil); err == nil {
		t.Error("the user is still there")
	}
}

func TestOwnDatabase_EndsWithAKilledTestBinary(t *testing.T) {
	const hold = "TESTSERVERS_TEST_HOLD"
	if os.Getenv(hold) != "" { // We are the test binary that is going to be killed.
		fmt.Println("address:", OwnDatabase(t).URL())
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		return
	}
	t.Parallel()

	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), hold+"=1")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	var host string
	for host == "" && lines.Scan() {
		if address, found := strings.CutPrefix(lines.Text(), "address: "); found {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			host = u.Host
		}
	}
	if !listening(host) {
		t.Fatalf("nobody listens at %q", host)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for listening(host) {
		select {
		case <-deadline:
			t.Fatal("the server outlives its test binary")
		case <-tick.C:
		}
	}
}

func listening(host string) bool {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// deadProcess is the id of a process that has ended.
func deadProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("go", "env", "GOOS")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}
