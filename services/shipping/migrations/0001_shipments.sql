-- +goose Up
CREATE TABLE shipments (
    order_id       text        PRIMARY KEY,
    state          text        NOT NULL,
    order_received boolean     NOT NULL,
    paid           boolean     NOT NULL,
    address        text,                 -- JSON; null before it is known and after it is needed
    items          text,                 -- JSON
    parcel_id      text        NOT NULL,
    tracking       text        NOT NULL,
    detail         text        NOT NULL,
    reason         text        NOT NULL,
    correlation_id text        NOT NULL,
    tenant_id      text        NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT shipments_state_known CHECK (state IN
        ('waiting', 'booking', 'booking_cancel', 'booked', 'cancelling', 'dispatched', 'delivered', 'failed', 'cancelled'))
);

-- +goose Down
DROP TABLE shipments;
