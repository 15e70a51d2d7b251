-- +goose Up

-- A product that was never there has version 0; one that was deleted keeps its stock and version.
CREATE TABLE products (
    sku            text    NOT NULL PRIMARY KEY,
    name           text    NOT NULL,
    price_amount   bigint  NOT NULL,
    price_currency text    NOT NULL,
    received       bigint  NOT NULL, -- total ever restocked; received - on_hand has left
    on_hand        bigint  NOT NULL,
    reserved       bigint  NOT NULL,
    version        bigint  NOT NULL,
    deleted        boolean NOT NULL,
    CONSTRAINT products_on_hand_not_negative CHECK (on_hand >= 0),
    CONSTRAINT products_on_hand_was_received CHECK (on_hand <= received),
    CONSTRAINT products_reserved_not_negative CHECK (reserved >= 0),
    CONSTRAINT products_reserved_is_on_hand CHECK (reserved <= on_hand)
);

-- One row per order. Items and shortages are JSON, null while there are none.
CREATE TABLE reservations (
    order_id  text NOT NULL PRIMARY KEY,
    state     text NOT NULL,
    items     text,
    shortages text,
    CONSTRAINT reservations_state_known
        CHECK (state IN ('none', 'tombstone', 'reserved', 'failed', 'released', 'committed'))
);

-- +goose Down
DROP TABLE reservations;
DROP TABLE products;
