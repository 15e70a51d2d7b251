package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
)

// queryLogger logs a failed statement at debug level only, because the caller decides what the error means and logs it.
type queryLogger struct {
	log  *slog.Logger
	slow time.Duration
}

var (
	_ gormlogger.Interface = queryLogger{}
	_ gorm.ParamsFilter    = queryLogger{}
)

func (l queryLogger) LogMode(gormlogger.LogLevel) gormlogger.Interface { return l }

func (l queryLogger) Info(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, args...))
}

func (l queryLogger) Warn(ctx context.Context, format string, args ...any) {
	l.log.WarnContext(ctx, fmt.Sprintf(format, args...))
}

func (l queryLogger) Error(ctx context.Context, format string, args ...any) {
	l.log.ErrorContext(ctx, fmt.Sprintf(format, args...))
}

// Trace logs slow statements at warn level and failed ones at debug level.
func (l queryLogger) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), err error) {
	took := time.Since(begin)
	failed := err != nil && !errors.Is(err, gorm.ErrRecordNotFound)
	switch {
	case took >= l.slow:
		query, rows := statement()
		l.log.WarnContext(ctx, "slow query", "query", query, "rows", rows, "duration", took, "error", err)
	case failed && l.log.Enabled(ctx, slog.LevelDebug):
		query, _ := statement()
		l.log.DebugContext(ctx, "query failed", "query", query, "duration", took, "error", err)
	}
}

// ParamsFilter keeps values out of the logged statement.
func (l queryLogger) ParamsFilter(_ context.Context, query string, _ ...any) (string, []any) {
	return query, nil
}
