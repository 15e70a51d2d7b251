-- +goose Up
-- The trace that the shipment belongs to, for what happens to it outside of events.
ALTER TABLE shipments ADD COLUMN trace_parent text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE shipments DROP COLUMN trace_parent;
