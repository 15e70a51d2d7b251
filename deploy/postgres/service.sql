-- Creates the roles of one service and grants their permissions. psql runs this in the service's database, with the variables
-- service, owner, password and owner_password. The owner creates and changes tables when the service starts; the service
-- reads and writes rows.

create role :"owner" login password :'owner_password' connection limit 5;
-- Enough for two instances with the default of DATABASE_MAX_CONNS, so that a new instance can start before the old one ends.
create role :"service" login password :'password' connection limit 40;

alter database :"DBNAME" owner to :"owner";
-- By default every role may connect and create temporary tables.
revoke all on database :"DBNAME" from public;
grant connect on database :"DBNAME" to :"service";

-- Every role could connect to these two databases, which hold no data.
revoke all on database postgres, template1 from public;

revoke all on schema public from public;
grant usage on schema public to :"service";
alter default privileges for role :"owner" in schema public
  grant select, insert, update, delete on tables to :"service";

-- Defaults for sessions that set no limits. The services set their own.
alter role :"service" set statement_timeout = '30s';
alter role :"service" set lock_timeout = '2s';
alter role :"service" set idle_in_transaction_session_timeout = '1min';
