package inprocess_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glebarez/sqlite"
	"github.com/quadrille-dev/quadrille/pkg/events/inprocess"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// The victim is this test binary, started again: three services in one process that is killed repeatedly while it
// publishes and consumes.
const (
	victimFolder = "QUADRILLE_TEST_VICTIM_FOLDER"
	victimDrains = "QUADRILLE_TEST_VICTIM_DRAINS" // publishes nothing new, and reports when everything has arrived
)

var victimServices = []string{"sender", "reader", "scribe"}

// noteReturned is published by the scribe and handled by the sender.
type noteReturned struct{ noteSent }

func (noteReturned) EventType() string { return "note.returned.v1" }

func TestKill_AppliesEachEventOnce(t *testing.T) {
	t.Parallel()
	const kills = 30
	folder := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)

	var sending, receiving int // kills while events were in an outbox, and in a stored inbox
	for range kills {
		v := startVictim(t, folder)
		if line := v.next(); line != "running" {
			t.Fatalf("the victim printed %q", line)
		}
		for range 1 + random.IntN(10) {
			if line := v.next(); line != "sent" {
				t.Fatalf("the victim printed %q", line)
			}
		}
		<-time.After(time.Duration(random.IntN(150)) * time.Millisecond)
		v.kill()
		if countRows(t, folder, "outbox") > 0 {
			sending++
		}
		if countRows(t, folder, "stored_inbox") > 0 {
			receiving++
		}
	}
	v := startVictim(t, folder, victimDrains+"=yes")
	if line := v.next(); line != "running" {
		t.Fatalf("the victim printed %q", line)
	}
	if line := v.next(); line != "drained" {
		t.Fatalf("the victim printed %q", line)
	}
	v.kill()

	sent := column[int](t, folder, "sender", "select number from sent order by number")
	t.Logf("%d events; during %d of %d kills some were in an outbox, during %d in a stored inbox", len(sent), sending, kills, receiving)
	if sending == 0 || receiving == 0 {
		t.Error("no kill interrupted an event: the test proved nothing")
	}
	for _, service := range victimServices {
		applied := map[int]int{}
		for _, number := range column[int](t, folder, service, "select number from applied") {
			applied[number]++
		}
		for _, number := range sent {
			if n := applied[number]; n != 1 {
				t.Errorf("%s applied event %d %d times", service, number, n)
			}
		}
		if len(applied) != len(sent) {
			t.Errorf("%s applied %d events of %d", service, len(applied), len(sent))
		}
		if n := column[int](t, folder, service, "select count(*) from stored_inbox where dead_lettered_at is not null")[0]; n != 0 {
			t.Errorf("%s has %d dead letters", service, n)
		}
	}
}

type victimProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	lines  *bufio.Scanner
	stderr *strings.Builder
	ended  bool
}

func startVictim(t *testing.T, folder string, more ...string) *victimProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), victimFolder+"="+folder), more...)
	v := &victimProcess{t: t, cmd: cmd, stderr: &strings.Builder{}}
	cmd.Stderr = v.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.stdin, v.lines = stdin, bufio.NewScanner(stdout)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.kill)
	return v
}

// next returns the next line that the victim prints, or its error output if it has ended.
func (v *victimProcess) next() string {
	if v.lines.Scan() {
		return v.lines.Text()
	}
	v.kill()
	return v.stderr.String()
}

func (v *victimProcess) kill() {
	if v.ended {
		return
	}
	v.ended = true
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
	_ = v.stdin.Close()
}

// countRows counts the rows of a table in the databases of all services.
func countRows(t *testing.T, folder, table string) (n int) {
	t.Helper()
	for _, service := range victimServices {
		n += column[int](t, folder, service, "select count(*) from "+table)[0]
	}
	return n
}

func column[T any](t *testing.T, folder, service, query string) (list []T) {
	t.Helper()
	db, err := openVictim(folder, service)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if sqlDB, err := db.DB(); err == nil {
			_ = sqlDB.Close()
		}
	}()
	if err := db.Raw(query).Scan(&list).Error; err != nil {
		t.Fatalf("%s: %s: %v", service, query, err)
	}
	return list
}

func openVictim(folder, service string) (*gorm.DB, error) {
	return gorm.Open(sqlite.Open("file:"+filepath.Join(folder, service+".db")+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_txlock=immediate"),
		&gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard})
}

// victim is the process that is killed.
func victim(folder string) error {
	go func() { // end with the test
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	ctx := context.Background()
	apply := func(tx *gorm.DB, number int) error { return tx.Exec("insert into applied values (?)", number).Error }
	subscriptions := map[string][]events.Subscription{
		"reader": {events.Handle("note-sent", func(_ context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
			if err := apply(tx, e.Event.Number); err != nil {
				return err
			}
			if e.Event.Number%5 == 0 && e.Attempt == 1 {
				return errors.New("not at once")
			}
			return nil
		})},
		"scribe": {events.Handle("note-sent", func(ctx context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
			if err := apply(tx, e.Event.Number); err != nil {
				return err
			}
			return events.Publish(ctx, tx, noteReturned{e.Event})
		})},
		"sender": {events.Handle("note-returned", func(_ context.Context, tx *gorm.DB, e events.Received[noteReturned]) error {
			return apply(tx, e.Event.Number)
		})},
	}
	broker := inprocess.NewBroker(inprocess.Config{Logger: slog.New(slog.DiscardHandler)})
	handles := map[string]*gorm.DB{}
	buses := map[string]*events.Bus{}
	for _, service := range victimServices {
		db, err := openVictim(folder, service)
		if err != nil {
			return err
		}
		handles[service] = db
		if err := events.Migrate(ctx, db); err != nil {
			return err
		}
		for _, table := range []string{"sent", "applied"} {
			if err := db.Exec("create table if not exists " + table + " (number integer)").Error; err != nil {
				return err
			}
		}
		cfg := events.Config{
			Events: []events.Declaration{
				{ETO: noteSent{}, Publisher: "sender", Mandatory: true},
				{ETO: noteReturned{}, Publisher: "scribe", Mandatory: true},
			},
			Service: service, RetryDelays: []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second},
			Relay: events.RelayConfig{LeaseTTL: 100 * time.Millisecond}, Logger: slog.New(slog.DiscardHandler),
		}
		topology, err := events.NewTopology(cfg, subscriptions[service]...)
		if err != nil {
			return err
		}
		tr := broker.Transport(db)
		if err := tr.Declare(ctx, topology); err != nil {
			return err
		}
		if buses[service], err = events.New(db, tr, cfg, subscriptions[service]...); err != nil {
			return err
		}
	}
	var running errgroup.Group
	for _, bus := range buses {
		running.Go(func() error { return bus.Run(ctx) })
	}
	fmt.Println("running")
	if os.Getenv(victimDrains) != "" {
		running.Go(func() error {
			if err := drain(handles); err != nil {
				fmt.Println(err)
			}
			return nil
		})
	} else {
		running.Go(func() error { return publishRepeatedly(ctx, handles["sender"]) })
	}
	return running.Wait()
}

func publishRepeatedly(ctx context.Context, db *gorm.DB) error {
	for {
		if err := db.Transaction(func(tx *gorm.DB) error {
			var number int
			if err := tx.Raw("insert into sent select coalesce(max(number), 0) + 1 from sent returning number").Scan(&number).Error; err != nil {
				return err
			}
			return events.Publish(ctx, tx, noteSent{Note: fmt.Sprint("note-", number%20), Number: number})
		}); err != nil {
			return err
		}
		fmt.Println("sent")
	}
}

// drain prints a line when each service has applied everything that was sent, and no outbox and no stored inbox has
// anything left.
func drain(handles map[string]*gorm.DB) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < time.Minute; <-tick.C {
		var sent, left int
		if err := handles["sender"].Raw("select count(*) from sent").Scan(&sent).Error; err != nil {
			return err
		}
		for _, db := range handles {
			var n int
			if err := db.Raw("select ? - (select count(distinct number) from applied)", sent).Scan(&n).Error; err != nil {
				return err
			}
			left += n
		}
		for _, db := range handles {
			var n int
			if err := db.Raw("select (select count(*) from outbox) + (select count(*) from stored_inbox)").Scan(&n).Error; err != nil {
				return err
			}
			left += n
		}
		if left == 0 {
			fmt.Println("drained")
			return nil
		}
	}
	return errors.New("timed out: not everything has arrived")
}
