-- +goose Up
CREATE TABLE accounts (customer_id text NOT NULL PRIMARY KEY, points bigint NOT NULL);

-- +goose Down
DROP TABLE accounts;
