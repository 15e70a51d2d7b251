package testservers

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestAbandoned(t *testing.T) {
	t.Parallel()
	ended := endedProcess(t)
	for name, want := range map[string]bool{
		newName(): false,
		fmt.Sprintf("%s%s_%d_00", namePrefix, machine(), os.Getppid()): false,
		fmt.Sprintf("%s%s_%d_00", namePrefix, machine(), ended):        true,
		fmt.Sprintf("%s%s_%d_00", namePrefix, "elsewhere", ended):      false,
		"production": false,
	} {
		if got := abandoned(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

func TestDeleteAbandoned(t *testing.T) {
	t.Parallel()
	server, err := databaseServer()
	if err != nil {
		t.Fatal(err)
	}
	b, err := sharedBroker()
	if err != nil {
		t.Fatal(err)
	}
	left := fmt.Sprintf("%s%s_%d_00", namePrefix, machine(), endedProcess(t))
	if err := administer(t.Context(), server, "CREATE DATABASE "+left); err != nil {
		t.Fatal(err)
	}
	if err := b.CreateVHost(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	if err := b.CreateUser(t.Context(), left, "password", left, "", "", ""); err != nil {
		t.Fatal(err)
	}

	if err := deleteAbandonedDatabases(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	if err := deleteAbandonedVHosts(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := deleteAbandonedUsers(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	address, err := withDatabase(server, left)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.Connect(t.Context(), address); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database still exists")
	}
	if names, err := b.VHosts(t.Context()); err != nil || slices.Contains(names, left) {
		t.Errorf("virtual hosts %v, error %v: want none of the killed test", names, err)
	}
	if names, err := b.Users(t.Context()); err != nil || slices.Contains(names, left) {
		t.Errorf("users %v, error %v: want none of the killed test", names, err)
	}
}

func TestOwnDatabase_EndsWithKilledTest(t *testing.T) {
	const hold = "TESTSERVERS_TEST_HOLD"
	if os.Getenv(hold) != "" { // This is the test binary that is going to be killed.
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
		t.Fatalf("no server at %q", host)
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
			t.Fatal("the server did not end with its test binary")
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

// endedProcess returns the id of a process that has ended.
func endedProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("go", "env", "GOOS")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}
