-- +goose Up
-- The trace that the order belongs to, for what happens to it outside of events.
ALTER TABLE orders ADD COLUMN trace_parent text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE orders DROP COLUMN trace_parent;
