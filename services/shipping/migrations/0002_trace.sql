-- +goose Up
-- The trace of the order's flow, which carrier webhooks continue.
ALTER TABLE shipments ADD COLUMN trace_parent text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE shipments DROP COLUMN trace_parent;
