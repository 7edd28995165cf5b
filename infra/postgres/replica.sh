#!/bin/sh
# A server that follows `postgres` and only reads. The first start copies everything; later ones go on from there, and
# copy anew when the primary no longer has what they missed (remove the volume then).
set -eu
data=${PGDATA:-/var/lib/postgresql/data}
primary=${PRIMARY_HOST:-postgres}
port=${PRIMARY_PORT:-5432}
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "${data:?}"/*
  PGPASSWORD="$REPLICATION_PASSWORD" pg_basebackup -h "$primary" -p "$port" -U replicator -D "$data" -X stream -R --checkpoint=fast
  chmod 700 "$data"
fi
exec postgres -D "$data" -c hot_standby=on -c max_connections=100 "$@"
