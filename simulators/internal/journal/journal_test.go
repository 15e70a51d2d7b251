package journal_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/simulators/internal/journal"
)

func open(t *testing.T, path string) (*journal.Journal[int], []int) {
	t.Helper()
	var replayed []int
	j, err := journal.Open(path, slog.New(slog.DiscardHandler), func(n int) error {
		replayed = append(replayed, n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return j, replayed
}

func TestOpen_ReplaysFlushedEntriesInOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "folder", "numbers.jsonl")
	j, replayed := open(t, path)
	if len(replayed) != 0 {
		t.Fatalf("a new journal has entries: %v", replayed)
	}
	for n := range 5 {
		if err := j.Append(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	// The journal stays open, as after a process was killed.
	_, replayed = open(t, path)
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, replayed); diff != "" {
		t.Error(diff)
	}
}

func TestOpen_RemovesIncompleteLastLine(t *testing.T) {
	t.Parallel()
	for _, torn := range []string{"4", "{\"x", "\x00\x00\x00"} {
		path := filepath.Join(t.TempDir(), "numbers.jsonl")
		if err := os.WriteFile(path, []byte("1\n2\n3\n"+torn), 0o600); err != nil {
			t.Fatal(err)
		}
		j, replayed := open(t, path)
		if diff := cmp.Diff([]int{1, 2, 3}, replayed); diff != "" {
			t.Errorf("torn %q: %s", torn, diff)
		}
		if err := errors.Join(j.Append(5), j.Close()); err != nil {
			t.Fatal(err)
		}
		if _, replayed = open(t, path); !cmp.Equal([]int{1, 2, 3, 5}, replayed) {
			t.Errorf("torn %q: after appending: %v", torn, replayed)
		}
	}
}

func TestOpen_RejectsMalformedLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.jsonl")
	if err := os.WriteFile(path, []byte("1\nbroken\n3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := journal.Open(path, slog.Default(), func(int) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v, want an error that names line 2", err)
	}
}

func TestFlush_KeepsEntriesOfConcurrentWriters(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.jsonl")
	j, _ := open(t, path)
	const writers, each = 16, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				if err := errors.Join(j.Append(w*each+n), j.Flush()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_, replayed := open(t, path)
	counts := map[int]int{}
	last := map[int]int{}
	for _, n := range replayed {
		counts[n]++
		if previous, ok := last[n/each]; ok && previous >= n {
			t.Errorf("writer %d: %d came after %d", n/each, n, previous)
		}
		last[n/each] = n
	}
	if len(replayed) != writers*each || len(counts) != writers*each {
		t.Errorf("%d entries, %d of them distinct, want %d", len(replayed), len(counts), writers*each)
	}
}

func TestClose_RejectsFurtherEntries(t *testing.T) {
	t.Parallel()
	j, _ := open(t, filepath.Join(t.TempDir(), "numbers.jsonl"))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
}
