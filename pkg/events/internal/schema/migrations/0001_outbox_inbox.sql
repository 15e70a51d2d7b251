-- The outbox has one row per event that is not yet published. The relay deletes a row once the broker has confirmed it.
create table outbox (
    id           bigint generated always as identity primary key,
    event_id     text        not null,
    type         text        not null,
    subject      text        not null,
    mandatory    boolean     not null,
    body         text        not null,
    created_at   timestamptz not null, -- the time since which it is due
    -- A scheduled event is not published before this time. Null means at once.
    available_at timestamptz,
    -- Set after a rejection and while no queue is bound to the event; infinity once the row is parked.
    blocked_until timestamptz,
    parked_at    timestamptz,
    rejections   integer     not null default 0,
    last_error   text        not null default ''
);
-- The relay reads the oldest rows that are ready, and, past a long run of rows of one subject, the first row of each subject.
create index outbox_ready on outbox (id) where available_at is null and blocked_until is null;
create index outbox_ready_subject on outbox (subject, id) where available_at is null and blocked_until is null;
create index outbox_scheduled on outbox (available_at) where available_at is not null;
create index outbox_blocked on outbox (subject, id) where blocked_until is not null;
create index outbox_again on outbox (blocked_until) where blocked_until is not null;

-- The lease names the instance whose relay publishes. The generation fences off a relay that outlived its lease.
create table outbox_lease (
    name       text        primary key,
    holder     text        not null,
    generation bigint      not null,
    expires_at timestamptz not null
);

-- The inbox has one record per event and handler that has consumed it.
create table inbox (
    handler      text        not null,
    event_id     text        not null,
    processed_at timestamptz not null,
    primary key (handler, event_id)
);
create index inbox_processed_at on inbox (processed_at);

-- With Config.Audit, every event that was published. It only grows.
create table event_log (
    id           bigint      primary key,
    event_id     text        not null,
    type         text        not null,
    subject      text        not null,
    body         text        not null,
    created_at   timestamptz not null,
    published_at timestamptz not null
);
