-- The rights in one service's database, which this runs in, as psql with the variables service, owner, password and
-- owner_password. The owner makes and changes tables, while the service starts; the service reads and writes rows.

create role :"owner" login password :'owner_password' connection limit 5;
-- Two instances with DATABASE_MAX_CONNS at its default, so that they can take turns. All together fit in max_connections.
create role :"service" login password :'password' connection limit 40;

alter database :"DBNAME" owner to :"owner";
-- Among these are connecting, and making temporary tables.
revoke all on database :"DBNAME" from public;
grant connect on database :"DBNAME" to :"service";

-- These hold nothing, but whoever may log in could connect to them.
revoke all on database postgres, template1 from public;

revoke all on schema public from public;
grant usage on schema public to :"service";
alter default privileges for role :"owner" in schema public
  grant select, insert, update, delete on tables to :"service";

-- What a session gets that does not ask for limits of its own; the services do.
alter role :"service" set statement_timeout = '30s';
alter role :"service" set lock_timeout = '5s';
alter role :"service" set idle_in_transaction_session_timeout = '1min';
