-- +goose Up
-- The trace and the flow that the order belongs to, for what happens to it outside of events.
ALTER TABLE orders ADD COLUMN trace_parent text NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN correlation_id text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE orders DROP COLUMN correlation_id;
ALTER TABLE orders DROP COLUMN trace_parent;
