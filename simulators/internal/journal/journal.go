// Package journal keeps an append-only file of JSON lines, from which a simulator rebuilds its state after a restart.
//
// Every entry for which Flush returned nil survives a crash of the process or of the machine. Entries keep the order in
// which they were appended, and each is restored completely or not at all. Entries that were appended but not flushed
// may be lost, so a simulator calls Flush before it sends a response that depends on them.
//
// One process at a time may open a journal, and a journal only grows.
package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// Journal is a journal with entries of type E. Its methods are safe for concurrent use.
type Journal[E any] struct {
	file *os.File

	// writeLock is held by the goroutine that writes. Goroutines that wait for it usually find their entries written by
	// its holder, so that many callers share one fsync. It is acquired before mu.
	writeLock sync.Mutex

	mu       sync.Mutex
	pending  []byte
	appended uint64
	durable  uint64
	err      error
}

// Open opens the journal at path, creates the file and its folder if they do not exist, and calls apply with every
// entry, oldest first. An incomplete last line is the remainder of a crash: it was never flushed, so Open removes and
// logs it. A malformed line elsewhere is an error, and so is an error of apply.
func Open[E any](path string, log *slog.Logger, apply func(E) error) (*Journal[E], error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create journal folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	complete, torn, err := replay(file, apply)
	if err == nil && torn > 0 {
		log.Warn("removed incomplete last line of the journal", "journal", path, "bytes", torn)
		err = file.Truncate(complete)
	}
	if err == nil {
		_, err = file.Seek(complete, io.SeekStart)
	}
	if err == nil {
		err = errors.Join(file.Sync(), syncFolder(filepath.Dir(path)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", path, err), file.Close())
	}
	return &Journal[E]{file: file}, nil
}

// replay applies the complete lines and returns their length in bytes, and that of the incomplete line after them.
func replay[E any](file *os.File, apply func(E) error) (complete, torn int64, err error) {
	lines := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return complete, int64(len(line)), nil
		}
		if err != nil {
			return 0, 0, err
		}
		var entry E
		if err := json.Unmarshal(line, &entry); err != nil {
			return 0, 0, fmt.Errorf("line %d: %w", n, err)
		}
		if err := apply(entry); err != nil {
			return 0, 0, fmt.Errorf("line %d: %w", n, err)
		}
		complete += int64(len(line))
	}
}

// syncFolder makes the name of a new file as durable as its content.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Append adds an entry without waiting for the disk. Callers that hold a lock over their state while they append get
// entries in the order of their changes. Append returns an error if entry cannot be encoded as JSON, and after any
// failed write.
func (j *Journal[E]) Append(entry E) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encode journal entry: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	j.pending = append(append(j.pending, line...), '\n')
	j.appended++
	return nil
}

// Flush blocks until every entry appended before the call is on disk. After a failed write every later call fails too,
// because the content of the disk is unknown until the next Open.
func (j *Journal[E]) Flush() error {
	j.mu.Lock()
	want := j.appended
	j.mu.Unlock()

	j.writeLock.Lock()
	defer j.writeLock.Unlock()

	j.mu.Lock()
	if j.err != nil || j.durable >= want {
		defer j.mu.Unlock()
		return j.err
	}
	batch, upTo := j.pending, j.appended
	j.pending = nil
	j.mu.Unlock()

	_, err := j.file.Write(batch)
	if err == nil {
		err = j.file.Sync()
	}

	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.err = fmt.Errorf("write journal: %w", err)
		return j.err
	}
	j.durable = upTo
	return nil
}

// Close flushes the journal and closes its file. The journal cannot be used afterwards.
func (j *Journal[E]) Close() error {
	err := j.Flush()
	j.writeLock.Lock()
	defer j.writeLock.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = os.ErrClosed
	}
	return errors.Join(err, j.file.Close())
}
