-- +goose Up
CREATE TABLE payments (
    order_id       text        PRIMARY KEY,
    state          text        NOT NULL,
    order_received boolean     NOT NULL,
    stock_reserved boolean     NOT NULL,
    amount         bigint      NOT NULL CHECK (amount >= 0),
    currency       text        NOT NULL,
    payment_method text        NOT NULL,
    intent_id      text        NOT NULL,
    key_generation bigint      NOT NULL,
    decline_code   text        NOT NULL,
    reason         text        NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT payments_state_known CHECK (state IN
        ('waiting', 'charging', 'charging_cancel', 'charged', 'refunding', 'refunded', 'failed', 'voided'))
);
-- One intent pays for one order.
CREATE UNIQUE INDEX payments_intent_id ON payments (intent_id) WHERE intent_id <> '';

-- +goose Down
DROP TABLE payments;
