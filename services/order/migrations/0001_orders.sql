-- +goose Up
CREATE TABLE orders (
    id              text        PRIMARY KEY,
    customer_id     text        NOT NULL,
    items           text        NOT NULL, -- JSON
    total_amount    bigint      NOT NULL,
    total_currency  text        NOT NULL,
    ship_to         text        NOT NULL, -- JSON
    placed_at       timestamptz NOT NULL,

    -- The facts that the order has observed. The state is a function of them, stored for searches.
    reserved        boolean     NOT NULL DEFAULT false,
    paid            boolean     NOT NULL DEFAULT false,
    dispatched      boolean     NOT NULL DEFAULT false,
    delivered       boolean     NOT NULL DEFAULT false,
    shipment_failed boolean     NOT NULL DEFAULT false,
    cancelled       boolean     NOT NULL DEFAULT false,
    customer_asked  boolean     NOT NULL DEFAULT false,
    deadline_asked  boolean     NOT NULL DEFAULT false,
    state           text        NOT NULL,

    confirmed       boolean     NOT NULL DEFAULT false,
    reason          text        NOT NULL DEFAULT '',
    waiting_since   timestamptz NOT NULL, -- when the order last made progress
    stalled         boolean     NOT NULL DEFAULT false,
    payment_id      text        NOT NULL DEFAULT '',
    decline_code    text        NOT NULL DEFAULT '',
    refunded        boolean     NOT NULL DEFAULT false,
    shipment_id     text        NOT NULL DEFAULT '',
    tracking        text        NOT NULL DEFAULT '',
    version         bigint      NOT NULL,

    CONSTRAINT orders_state_known
        CHECK (state IN ('pending', 'reserved', 'paid', 'shipped', 'completed', 'cancelling', 'cancelled')),
    CONSTRAINT orders_cost_something CHECK (total_amount > 0),
    CONSTRAINT orders_end_once CHECK (NOT (delivered AND cancelled))
);
-- Ids grow with time: a newer order has a larger one.
CREATE INDEX orders_customer ON orders (customer_id, id);
CREATE INDEX orders_state ON orders (state, id);
CREATE INDEX orders_waiting ON orders (waiting_since, id) WHERE state NOT IN ('completed', 'cancelled');

CREATE TABLE order_history (
    order_id   text        NOT NULL REFERENCES orders (id),
    position   bigint      NOT NULL,
    at         timestamptz NOT NULL,
    event_type text        NOT NULL,
    description text       NOT NULL,
    PRIMARY KEY (order_id, position)
);

-- Copies of the products of inventory's catalogue.
CREATE TABLE products (
    sku            text    PRIMARY KEY,
    name           text    NOT NULL DEFAULT '',
    price_amount   bigint  NOT NULL DEFAULT 0,
    price_currency text    NOT NULL DEFAULT '',
    version        bigint  NOT NULL,
    deleted        boolean NOT NULL DEFAULT false
);

-- +goose Down
DROP TABLE products;
DROP TABLE order_history;
DROP TABLE orders;
