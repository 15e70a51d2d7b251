-- +goose Up
-- Whether the order waits for the carrier, which has a longer timeout than a service. Like the state, it follows from the
-- facts and is stored for searches, see Order.WaitsForCarrier.
ALTER TABLE orders ADD COLUMN waits_for_carrier boolean NOT NULL DEFAULT false;
UPDATE orders SET waits_for_carrier = true
    WHERE state = 'shipped' OR (state IN ('pending', 'reserved', 'paid') AND shipment_id <> '');
CREATE INDEX orders_watched ON orders (waits_for_carrier, waiting_since, id)
    WHERE NOT stalled AND state NOT IN ('completed', 'cancelled');

-- +goose Down
DROP INDEX orders_watched;
ALTER TABLE orders DROP COLUMN waits_for_carrier;
