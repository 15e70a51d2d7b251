package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Reply is the response of a handler. Its body is marshalled to JSON; nil means none.
type Reply struct {
	Status   int
	Location string
	Body     any
}

// IdempotencyOptions tune [Idempotent].
type IdempotencyOptions struct {
	// Required rejects a request without a key (400). If false, such a request runs in a transaction and nothing is stored.
	Required bool
	// Scope names the operation: a key means something only within one. Default: the method and route.
	Scope string
}

// Idempotent runs work in a transaction and sends its reply, at most once for each Idempotency-Key, tenant and scope. The
// key and the reply are written in the same transaction as the work: after a crash at any moment, either both are stored
// or neither is, and the client can send the request again.
//
// A repeated key with the same method, path and body gets the stored reply again, with the header
// Idempotency-Replayed: true, for at least a day (see [PruneIdempotencyKeys]). With another request, it is 422.
// While the first request is still running, in any instance, it is 409; on SQLite, which runs one transaction at
// a time, the second waits for the first and then gets its reply, or 503 if that takes too long. If work fails,
// everything is rolled back, nothing is stored, and the error is returned, for [Handle] to map.
//
// Work must not touch anything that a rollback does not undo, and can run more than once, see [database.Transaction]. Call
// this after [DecodeJSON] and the checks that need no database; the reply is sent after the commit.
func Idempotent(c *gin.Context, db *gorm.DB, opts IdempotencyOptions,
	work func(ctx context.Context, tx *gorm.DB) (Reply, error),
) error {
	key, err := idempotencyKey(c.Request.Header, opts.Required)
	if err != nil {
		return err
	}
	call := idempotentCall{TenantID: events.TenantID(c.Request.Context()), Scope: opts.Scope, Key: key}
	if call.Scope == "" {
		call.Scope = c.Request.Method + " " + c.FullPath()
	}
	if call.Fingerprint, err = fingerprint(c); err != nil {
		return err
	}
	ctx := c.Request.Context()
	replayed := false
	err = database.Transaction(ctx, db, func(tx *gorm.DB) (err error) {
		if key == "" {
			return call.run(ctx, tx, work)
		}
		if replayed, err = call.lookUp(tx); replayed || err != nil {
			return err
		}
		if err := call.run(ctx, tx, work); err != nil {
			return err
		}
		call.CreatedAt = time.Now().UTC()
		if err := tx.Create(&call).Error; err != nil {
			return fmt.Errorf("store the idempotency key: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if replayed {
		c.Header("Idempotency-Replayed", "true")
	}
	call.send(c)
	return nil
}

// idempotentCall is a row of idempotency_keys.
type idempotentCall struct {
	TenantID    string `gorm:"primaryKey"`
	Scope       string `gorm:"primaryKey"`
	Key         string `gorm:"primaryKey"`
	Fingerprint []byte
	Status      int
	Location    string
	Body        []byte
	CreatedAt   time.Time
}

func (idempotentCall) TableName() string { return "idempotency_keys" }

// lookUp reports whether the call was made before, and if so loads its reply. Otherwise it holds the call's lock until the
// transaction ends. A commit makes its row visible before it releases its locks, so the next holder of the lock sees the
// row.
func (call *idempotentCall) lookUp(tx *gorm.DB) (seen bool, err error) {
	got, err := database.TryLock(tx, call.lockKey())
	if err != nil {
		return false, fmt.Errorf("lock the idempotency key: %w", err)
	}
	if !got {
		p := NewProblem(http.StatusConflict, "idempotency-key-in-use", "A request with this key is still running",
			"Wait for its response, or send the same request again a little later.")
		p.retryAfter = time.Second
		return false, p
	}
	var stored idempotentCall
	found := tx.Where("tenant_id = ? and scope = ? and key = ?", call.TenantID, call.Scope, call.Key).
		Limit(1).Find(&stored)
	if found.Error != nil {
		return false, fmt.Errorf("look up the idempotency key: %w", found.Error)
	}
	if found.RowsAffected == 0 {
		return false, nil
	}
	if !bytes.Equal(stored.Fingerprint, call.Fingerprint) {
		return false, NewProblem(http.StatusUnprocessableEntity, "idempotency-key-reused",
			"The key was used for another request", "Take a new Idempotency-Key for a new request.")
	}
	*call = stored
	return true, nil
}

func (call *idempotentCall) lockKey() int64 {
	sum := sha256.Sum256([]byte(strings.Join([]string{"idempotency", call.TenantID, call.Scope, call.Key}, "\x00")))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

func (call *idempotentCall) run(ctx context.Context, tx *gorm.DB, work func(context.Context, *gorm.DB) (Reply, error)) error {
	reply, err := work(ctx, tx)
	if err != nil {
		return err
	}
	if reply.Status < 200 || reply.Status > 299 {
		return fmt.Errorf("a reply has status %d: only success can be stored, return an error for the rest", reply.Status)
	}
	call.Status, call.Location, call.Body = reply.Status, reply.Location, []byte{}
	if reply.Body != nil {
		if call.Body, err = json.Marshal(reply.Body); err != nil {
			return fmt.Errorf("marshal the reply: %w", err)
		}
	}
	return nil
}

func (call *idempotentCall) send(c *gin.Context) {
	if call.Location != "" {
		c.Header("Location", call.Location)
	}
	if len(call.Body) == 0 {
		c.Status(call.Status)
		c.Writer.WriteHeaderNow()
		return
	}
	c.Data(call.Status, "application/json; charset=utf-8", call.Body)
}

var keyPattern = regexp.MustCompile(`^[ -~]{1,255}$`)

// idempotencyKey accepts the key bare, as most clients send it, and quoted, as the draft standard has it.
func idempotencyKey(header http.Header, required bool) (string, error) {
	values := header.Values("Idempotency-Key")
	if len(values) == 0 {
		if required {
			return "", NewProblem(http.StatusBadRequest, "idempotency-key-missing", "The request needs an idempotency key",
				"Send an Idempotency-Key header with a value that you use for this request only, such as a UUID.")
		}
		return "", nil
	}
	key := strings.TrimSpace(values[0])
	if len(key) >= 2 && strings.HasPrefix(key, `"`) && strings.HasSuffix(key, `"`) {
		key = key[1 : len(key)-1]
	}
	if len(values) > 1 || !keyPattern.MatchString(key) {
		return "", BadRequest("", FieldError{"Idempotency-Key", "must be one value of 1 to 255 printable characters"})
	}
	return key, nil
}

func fingerprint(c *gin.Context) ([]byte, error) {
	body, err := ReadBody(c)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00", c.Request.Method, c.Request.URL.RequestURI())
	h.Write(body)
	return h.Sum(nil), nil
}

// PruneIdempotencyKeys returns a runner for chassis.Serve that deletes keys older than a day, every ten minutes and in small
// batches. It never fails: errors of the database are logged.
func PruneIdempotencyKeys(db *gorm.DB) func(ctx context.Context) error {
	const every = 10 * time.Minute
	return func(ctx context.Context) error {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			if err := pruneKeys(ctx, db); err != nil && !errors.Is(err, context.Canceled) {
				slog.WarnContext(ctx, "old idempotency keys were not removed", "error", err)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

const (
	keepKeys   = 24 * time.Hour
	pruneBatch = 1000
)

func pruneKeys(ctx context.Context, db *gorm.DB) error {
	for {
		deleted := db.WithContext(ctx).Exec(`delete from idempotency_keys where (tenant_id, scope, key) in
			(select tenant_id, scope, key from idempotency_keys where created_at < ? order by created_at limit ?)`,
			time.Now().UTC().Add(-keepKeys), pruneBatch)
		if deleted.Error != nil || deleted.RowsAffected < pruneBatch {
			return deleted.Error
		}
	}
}
