#!/usr/bin/env bash
# Runs once, on an empty data folder: a role and a database for every service, each closed to the others.
set -euo pipefail

for service in order inventory payment shipping; do
  psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -v name="$service" -v password="$SERVICE_DB_PASSWORD" <<'SQL'
create role :"name" login password :'password';
create database :"name" owner :"name";
revoke all on database :"name" from public;
SQL
done
