package journal

import (
	"log/slog"
	"path/filepath"
	"testing"
)

func TestJournal_FailedWriteIsPermanent(t *testing.T) {
	t.Parallel()
	j, err := Open(filepath.Join(t.TempDir(), "numbers.jsonl"), slog.Default(), func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := j.file.Close(); err != nil { // simulates a failing disk
		t.Fatal(err)
	}
	if err := j.Append(1); err != nil {
		t.Fatal(err)
	}
	if err := j.Flush(); err == nil {
		t.Fatal("Flush succeeded although the write failed")
	}
	if err := j.Flush(); err == nil {
		t.Error("second Flush succeeded after a failed write")
	}
	if err := j.Append(2); err == nil {
		t.Error("Append succeeded after a failed write")
	}
}
