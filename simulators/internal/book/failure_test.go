package book

import (
	"log/slog"
	"path/filepath"
	"testing"
)

func TestFlush_FailsForEverOnceAWriteFailed(t *testing.T) {
	t.Parallel()
	b, err := Open(filepath.Join(t.TempDir(), "numbers.jsonl"), slog.Default(), func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := b.file.Close(); err != nil { // the disk is gone
		t.Fatal(err)
	}
	if err := b.Append(1); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err == nil {
		t.Fatal("an entry that was not written was flushed")
	}
	if err := b.Flush(); err == nil {
		t.Error("the lost entry was forgotten")
	}
	if err := b.Append(2); err == nil {
		t.Error("an entry was taken after one was lost")
	}
}
