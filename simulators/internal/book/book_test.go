package book_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/simulators/internal/book"
)

func open(t *testing.T, path string) (*book.Book[int], []int) {
	t.Helper()
	var replayed []int
	b, err := book.Open(path, slog.New(slog.DiscardHandler), func(n int) error {
		replayed = append(replayed, n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, replayed
}

func TestOpen_ReplaysWhatWasFlushedInOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "folder", "numbers.jsonl")
	b, replayed := open(t, path)
	if len(replayed) != 0 {
		t.Fatalf("a new book has entries: %v", replayed)
	}
	for n := range 5 {
		if err := b.Append(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	// Not closed: a process that is killed closes nothing either.
	_, replayed = open(t, path)
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, replayed); diff != "" {
		t.Error(diff)
	}
}

func TestOpen_CutsATornLastLineAndGoesOn(t *testing.T) {
	t.Parallel()
	for _, torn := range []string{"4", "{\"x", "\x00\x00\x00"} {
		path := filepath.Join(t.TempDir(), "numbers.jsonl")
		if err := os.WriteFile(path, []byte("1\n2\n3\n"+torn), 0o600); err != nil {
			t.Fatal(err)
		}
		b, replayed := open(t, path)
		if diff := cmp.Diff([]int{1, 2, 3}, replayed); diff != "" {
			t.Errorf("torn %q: %s", torn, diff)
		}
		if err := errors.Join(b.Append(5), b.Close()); err != nil {
			t.Fatal(err)
		}
		if _, replayed = open(t, path); !cmp.Equal([]int{1, 2, 3, 5}, replayed) {
			t.Errorf("torn %q: after appending: %v", torn, replayed)
		}
	}
}

func TestOpen_RefusesABookThatIsBrokenInTheMiddle(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.jsonl")
	if err := os.WriteFile(path, []byte("1\nbroken\n3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := book.Open(path, slog.Default(), func(int) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v, want an error that names line 2", err)
	}
}

func TestFlush_KeepsEverybodysEntries(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.jsonl")
	b, _ := open(t, path)
	const writers, each = 16, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				if err := errors.Join(b.Append(w*each+n), b.Flush()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_, replayed := open(t, path)
	seen := map[int]int{}
	last := map[int]int{}
	for _, n := range replayed {
		seen[n]++
		if previous, ok := last[n/each]; ok && previous >= n {
			t.Errorf("writer %d: %d came after %d", n/each, n, previous)
		}
		last[n/each] = n
	}
	if len(replayed) != writers*each || len(seen) != writers*each {
		t.Errorf("%d entries, %d of them different, want %d", len(replayed), len(seen), writers*each)
	}
}

func TestClose_EndsTheBook(t *testing.T) {
	t.Parallel()
	b, _ := open(t, filepath.Join(t.TempDir(), "numbers.jsonl"))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
}
