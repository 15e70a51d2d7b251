// Package book keeps an append-only book of JSON lines on disk: the memory of a simulator, and the evidence about it.
//
// It promises that what Flush returned nil for is still there after a crash of the process or of the machine, in the
// order in which it was appended, and that each entry is there whole or not at all. Entries that were appended but not
// yet flushed may be lost by a crash, so nothing may be told to anybody before Flush.
//
// A book is for one process at a time, and it only grows.
package book

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

// Book is a book of entries of type E. Its methods may be called by several goroutines at once.
type Book[E any] struct {
	file *os.File

	// turn is held by the goroutine that writes; those who wait for it find their entries written by the one before
	// them, so that many callers share one fsync.
	turn sync.Mutex

	mu       sync.Mutex
	pending  []byte
	appended uint64
	durable  uint64
	err      error
}

// Open opens the book at path, makes it and its folder if they are not there, and calls apply with every entry, oldest
// first. What a crash left of an unfinished last line is cut off and logged: nobody was told that it happened. A line
// in the middle that cannot be read is an error, as is an error of apply.
func Open[E any](path string, log *slog.Logger, apply func(E) error) (*Book[E], error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the book's folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the book: %w", err)
	}
	whole, torn, err := replay(file, apply)
	if err == nil && torn > 0 {
		log.Warn("the book's last line was torn by a crash; cut off", "book", path, "bytes", torn)
		err = file.Truncate(whole)
	}
	if err == nil {
		_, err = file.Seek(whole, io.SeekStart)
	}
	if err == nil {
		err = errors.Join(file.Sync(), syncFolder(filepath.Dir(path)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the book %s: %w", path, err), file.Close())
	}
	return &Book[E]{file: file}, nil
}

func replay[E any](file *os.File, apply func(E) error) (whole, torn int64, err error) {
	lines := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, int64(len(line)), nil
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
		whole += int64(len(line))
	}
}

// syncFolder makes a new file's name as durable as its content.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Append adds an entry and does not wait for the disk. Callers that hold a lock over their state while they append get
// entries in the order of their changes. It fails if entry cannot be written as JSON, and for ever once a write failed.
func (b *Book[E]) Append(entry E) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("write an entry: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.pending = append(append(b.pending, line...), '\n')
	b.appended++
	return nil
}

// Flush blocks until everything appended before the call is on disk. After a failed write it fails for ever: what the
// disk holds is then known only to the next Open.
func (b *Book[E]) Flush() error {
	b.mu.Lock()
	want := b.appended
	b.mu.Unlock()

	b.turn.Lock()
	defer b.turn.Unlock()

	b.mu.Lock()
	if b.err != nil || b.durable >= want {
		defer b.mu.Unlock()
		return b.err
	}
	batch, upTo := b.pending, b.appended
	b.pending = nil
	b.mu.Unlock()

	_, err := b.file.Write(batch)
	if err == nil {
		err = b.file.Sync()
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.err = fmt.Errorf("write the book: %w", err)
		return b.err
	}
	b.durable = upTo
	return nil
}

// Close flushes and closes the file. The book cannot be used afterwards.
func (b *Book[E]) Close() error {
	err := b.Flush()
	b.turn.Lock()
	defer b.turn.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = os.ErrClosed
	}
	return errors.Join(err, b.file.Close())
}
