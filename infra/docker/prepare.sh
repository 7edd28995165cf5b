#!/bin/sh
# Makes what docker-compose.yml asks for and must not have a default: .env with fresh secrets, and a certificate for
# localhost to begin with. What exists is left as it is. Run it at the root: sh infra/docker/prepare.sh
set -eu
umask 077
cd "$(dirname "$0")/../.."
command -v openssl > /dev/null || { echo "openssl is needed to make secrets" >&2; exit 1; }
if [ -e .env ]; then
  echo ".env exists; left as it is"
else
  for name in POSTGRES_PASSWORD REPLICATION_PASSWORD CLICKHOUSE_PASSWORD CLICKHOUSE_READER_PASSWORD REDIS_PASSWORD S3_SECRET_KEY API_KEY_PEPPER ADMIN_TOKEN GRAFANA_PASSWORD; do
    # Hex needs no escaping inside of a URL.
    echo "$name=$(openssl rand -hex 24)"
  done > .env
  echo "S3_ACCESS_KEY=millrace-$(openssl rand -hex 4)" >> .env
  echo ".env made"
fi
tls=infra/nginx/tls
if [ -e "$tls/tls.crt" ]; then
  echo "$tls exists; left as it is"
else
  mkdir -p "$tls"
  openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
    -keyout "$tls/tls.key" -out "$tls/tls.crt" 2> /dev/null
  # The proxy reads the key through the mount, as user 101 of its image.
  chmod 755 "$tls"
  chmod 644 "$tls/tls.crt"
  chown 101 "$tls/tls.key" 2> /dev/null || chmod 644 "$tls/tls.key"
  echo "$tls made: a certificate for localhost that no browser trusts; put your own there"
fi
