-- +goose Up
create table idempotency_keys (
    tenant_id   text        not null,
    scope       text        not null, -- which operation, so that two of them may see the same key
    key         text        not null,
    fingerprint bytea       not null, -- of method, path and body
    status      integer     not null,
    location    text        not null,
    body        bytea       not null,
    created_at  timestamptz not null,
    primary key (tenant_id, scope, key)
);
create index idempotency_keys_created_at on idempotency_keys (created_at);

-- +goose Down
drop table idempotency_keys;
