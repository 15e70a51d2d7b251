package rabbitmq

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
)

// amqp091-go closes the connection when it cannot decode the headers of a message, and the broker delivers that message
// again to the next one. All consumers share a connection, so one such message would stop them all.

// contentFilter is a connection whose Read replaces the headers of a message that amqp091-go would not decode by the
// header undecodable-headers, which says why. Everything else passes unchanged.
type contentFilter struct {
	net.Conn
	in       *bufio.Reader
	frameMax atomic.Int64 // that both sides have agreed on

	pending []byte // a content header that was checked
	pass    int64  // bytes left of a frame that passes unchecked
}

const (
	frameOverhead   = 8 // type, channel, size, end
	framePrefix     = 7 // without the end
	frameContent    = 2 // the type of a content header
	frameEnd        = 0xCE
	defaultFrameMax = 128 << 10
	// maxContentHeader is the size above which a content header is not read into memory. The broker adds headers of its
	// own, so that a content header can be larger than the frame in which it was published.
	maxContentHeader = 1 << 20
)

func newContentFilter(conn net.Conn) *contentFilter {
	f := &contentFilter{Conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}
	f.frameMax.Store(defaultFrameMax)
	return f
}

// Read implements net.Conn. It returns the bytes of one frame at most.
func (f *contentFilter) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(f.pending) == 0 && f.pass == 0 {
		if err := f.nextFrame(); err != nil {
			return 0, err
		}
	}
	if len(f.pending) > 0 {
		n := copy(b, f.pending)
		f.pending = f.pending[n:]
		return n, nil
	}
	n, err := f.in.Read(b[:min(int64(len(b)), f.pass)])
	f.pass -= int64(n)
	return n, err
}

// nextFrame reads a content header, or the beginning of any other frame.
func (f *contentFilter) nextFrame() error {
	prefix, err := f.in.Peek(framePrefix)
	if err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(prefix[framePrefix-4:]))
	if prefix[0] != frameContent {
		f.pass = size + frameOverhead
		return nil
	}
	frame := make([]byte, min(size, maxContentHeader)+framePrefix)
	if _, err := io.ReadFull(f.in, frame); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, f.in, size+frameOverhead-int64(len(frame))); err != nil {
		return err
	}
	payload := decodable(frame[framePrefix:], size, f.frameMax.Load()-frameOverhead)
	f.pending = slices.Concat(frame[:framePrefix], payload, []byte{frameEnd})
	binary.BigEndian.PutUint32(f.pending[framePrefix-4:], uint32(len(payload)))
	return nil
}

// The fixed part of a content header: class, weight, size of the body, flags of the properties.
const (
	flagsOffset      = 12
	propertiesOffset = 14
	headersFlag      = 0x2000
)

// decodable returns the payload of a content header in a form that amqp091-go decodes. size is that of the whole payload,
// of which a very large one lacks the end.
func decodable(payload []byte, size, limit int64) []byte {
	if len(payload) < propertiesOffset {
		return payload
	}
	start, end, err := checkProperties(payload)
	if size > limit {
		err = fmt.Errorf("the headers are too long: %d bytes", size)
	}
	if err == nil {
		return payload
	}
	note := noteTable(err)
	if end > 0 && int64(len(payload)) == size && int64(start+len(note)+len(payload)-end) <= limit {
		return append(append(payload[:start:start], note...), payload[end:]...)
	}
	// Not even the other properties can be kept.
	payload = binary.BigEndian.AppendUint16(payload[:flagsOffset:flagsOffset], headersFlag)
	return append(payload, note...)
}

// noteTable encodes a table with the header undecodable-headers.
func noteTable(cause error) []byte {
	text := cut(cause.Error(), maxShortString)
	entry := append([]byte{byte(len(headerUndecodable))}, headerUndecodable...)
	entry = binary.BigEndian.AppendUint32(append(entry, 'S'), uint32(len(text)))
	entry = append(entry, text...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(entry))), entry...)
}

var errTruncated = errors.New("the properties end early")

// checkProperties reports whether amqp091-go decodes the properties of a content header. start and end are the position of
// the headers in the payload; end is zero if there are none or another property is at fault.
func checkProperties(payload []byte) (start, end int, err error) {
	flags := binary.BigEndian.Uint16(payload[flagsOffset:])
	c := cursor{payload[propertiesOffset:]}
	var headers []byte
	for flag := uint16(1 << 15); flag >= 1<<2; flag >>= 1 {
		if flags&flag == 0 {
			continue
		}
		var ok bool
		switch flag {
		case headersFlag:
			start = len(payload) - len(c.rest)
			headers, ok = c.long()
			end = len(payload) - len(c.rest)
		case 1 << 12, 1 << 11: // delivery mode, priority
			_, ok = c.take(1)
		case 1 << 6: // timestamp
			_, ok = c.take(8)
		default:
			ok = c.skipShort()
		}
		if !ok {
			return 0, 0, errTruncated
		}
	}
	return start, end, checkTable(headers, 0)
}

// These are the limits of amqp091-go.
const (
	maxDepth    = 32
	maxElements = 8192
)

func checkTable(table []byte, depth int) error {
	c := cursor{table}
	return checkElements(&c, depth, func() error {
		if !c.skipShort() {
			return errTruncated
		}
		return checkField(&c, depth)
	})
}

func checkArray(array []byte, depth int) error {
	c := cursor{array}
	return checkElements(&c, depth, func() error { return checkField(&c, depth) })
}

func checkElements(c *cursor, depth int, next func() error) error {
	if depth > maxDepth {
		return fmt.Errorf("the headers are nested more than %d deep", maxDepth)
	}
	for n := 0; len(c.rest) > 0; n++ {
		if n == maxElements {
			return fmt.Errorf("a header has more than %d elements", maxElements)
		}
		if err := next(); err != nil {
			return err
		}
	}
	return nil
}

// fieldSizes are the types of fields with a fixed size.
var fieldSizes = map[byte]int{
	't': 1, 'B': 1, 'b': 1, 's': 2, 'u': 2, 'I': 4, 'i': 4, 'f': 4, 'l': 8, 'd': 8, 'T': 8, 'D': 5, 'V': 0,
}

func checkField(c *cursor, depth int) error {
	kind, ok := c.take(1)
	if !ok {
		return errTruncated
	}
	size, fixed := fieldSizes[kind[0]]
	if fixed {
		if _, ok := c.take(size); !ok {
			return errTruncated
		}
		return nil
	}
	switch kind[0] {
	case 'S', 'x', 'A', 'F':
	default:
		return fmt.Errorf("a header has the unknown type %q", kind)
	}
	value, ok := c.long()
	switch {
	case !ok:
		return errTruncated
	case kind[0] == 'A':
		return checkArray(value, depth+1)
	case kind[0] == 'F':
		return checkTable(value, depth+1)
	}
	return nil
}

// cursor reads encoded properties.
type cursor struct{ rest []byte }

func (c *cursor) take(n int) (b []byte, ok bool) {
	if n > len(c.rest) {
		return nil, false
	}
	b, c.rest = c.rest[:n], c.rest[n:]
	return b, true
}

// skipShort skips a string of at most 255 bytes.
func (c *cursor) skipShort() (ok bool) {
	length, ok := c.take(1)
	if ok {
		_, ok = c.take(int(length[0]))
	}
	return ok
}

func (c *cursor) long() (b []byte, ok bool) {
	if b, ok = c.take(4); !ok {
		return nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if int64(n) > int64(len(c.rest)) {
		return nil, false
	}
	return c.take(int(n))
}
