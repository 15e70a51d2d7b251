-- The outbox: one row for every event that waits to be published. Rows are deleted once they are done.
create table outbox (
    id           bigint generated always as identity primary key,
    event_id     text        not null,
    type         text        not null,
    subject      text        not null,
    mandatory    boolean     not null,
    body         text        not null,
    created_at   timestamptz not null, -- since when it is due
    -- Scheduled events: not before this time. Null: at once.
    available_at timestamptz,
    -- Set while a row waits after a refusal or for a queue; infinity once it is parked.
    blocked_until   timestamptz,
    parked_at    timestamptz,
    rejections     integer     not null default 0,
    last_error   text        not null default ''
);
create index outbox_due on outbox (id) where available_at is null;
create index outbox_scheduled on outbox (available_at) where available_at is not null;
create index outbox_blocked on outbox (subject, id) where blocked_until is not null;
create index outbox_again on outbox (blocked_until) where blocked_until is not null;

-- Which instance's relay sends. The generation fences off one that was paused past its lease.
create table outbox_lease (
    name       text        primary key,
    holder     text        not null,
    generation bigint      not null,
    expires_at timestamptz not null
);

-- The inbox: one mark for every event that a reaction has taken.
create table inbox (
    handler     text        not null,
    event_id     text        not null,
    processed_at timestamptz not null,
    primary key (handler, event_id)
);
create index inbox_processed_at on inbox (processed_at);

-- With auditing on, what was published, for ever.
create table event_log (
    id           bigint      primary key,
    event_id     text        not null,
    type         text        not null,
    subject      text        not null,
    body         text        not null,
    created_at   timestamptz not null,
    published_at timestamptz not null
);
