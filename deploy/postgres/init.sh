#!/usr/bin/env bash
# Runs once, on an empty data folder. Creates a database for each service, and two roles that can connect to it only.
set -euo pipefail

sql() { psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" "$@"; }

for service in order inventory payment shipping; do
  password=POSTGRES_PASSWORD_${service^^}
  owner_password=${password}_OWNER
  sql -d postgres -v name="$service" <<<'create database :"name";'
  sql -d "$service" -f /etc/quadrille/service.sql -v service="$service" -v password="${!password}" \
    -v owner="${service}_owner" -v owner_password="${!owner_password}"
done
