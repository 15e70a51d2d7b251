package httpapi

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/semaphore"
)

// smallBody is the size up to which a body does not count, because a connection takes as much memory without one. Orders
// are therefore accepted while others send large bodies.
const smallBody = 16 << 10

// limitBodies bounds the bytes of request bodies that are held at the same time, and the time in which a body must arrive.
func limitBodies(cfg RouterConfig) gin.HandlerFunc {
	memory := semaphore.NewWeighted(cfg.MaxBodyMemory)
	return func(c *gin.Context) {
		size := c.Request.ContentLength
		if size == 0 {
			return
		}
		connection := http.NewResponseController(c.Writer)
		if err := connection.SetReadDeadline(time.Now().Add(cfg.RequestTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			fail(c, err)
			return
		}
		c.Request.Body = &timedBody{c.Request.Body, connection}
		if size < 0 {
			size = undeclaredSize(c.Request, cfg.MaxBody)
		}
		if size > smallBody {
			if !memory.TryAcquire(size) {
				// A client that is still sending when the connection closes may not get the response.
				_, _ = io.Copy(io.Discard, c.Request.Body)
				fail(c, Unavailable("The service holds too many large bodies at the moment. Nothing was changed.", time.Second))
				return
			}
			defer memory.Release(size)
		}
		c.Next()
	}
}

// undeclaredSize reads the beginning of a body without a declared length, which the body then has again. It returns what the
// body counts as: nothing if that was all of it, and the largest size otherwise.
func undeclaredSize(r *http.Request, largest int64) int64 {
	buffered := bufio.NewReaderSize(r.Body, smallBody+1)
	r.Body = struct {
		io.Reader
		io.Closer
	}{buffered, r.Body}
	if _, err := buffered.Peek(smallBody + 1); err != nil {
		return 0 // reading the body to its end returns this error again, if it is one
	}
	return largest
}

// timedBody removes the deadline when all of the body has arrived. Otherwise the server, which reads on to find out whether
// the client disconnects, would cancel the request at the deadline.
type timedBody struct {
	io.ReadCloser
	connection *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.connection.SetReadDeadline(time.Time{}) // not supported in tests without a connection
	}
	return n, err
}

// unreadable returns the problem for a body that could not be read.
func unreadable(err error) *Problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return NewProblem(http.StatusRequestTimeout, "body-too-slow", "The body did not arrive in time", "").Because(err)
	}
	return BadRequest("The body could not be read.").Because(err)
}
