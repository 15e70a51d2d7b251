-- +goose Up
-- The trace and the flow of the request that placed the order, which cancellation and watchdog continue.
ALTER TABLE orders ADD COLUMN trace_parent text NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN correlation_id text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE orders DROP COLUMN correlation_id;
ALTER TABLE orders DROP COLUMN trace_parent;
