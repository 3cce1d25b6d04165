#!/bin/sh
# Passes the secret files on, then becomes `tfclip`, so that signals reach it.
set -eu

: "${TFCLIP_SECRETS_DIR:=/run/secrets}"
export TFCLIP_SECRETS_DIR

# libpq reads PGPASSWORD, so that TFCLIP_DATABASE_URL, which `docker inspect` shows, carries no password.
if [ -f "$TFCLIP_SECRETS_DIR/postgres_password" ]; then
    PGPASSWORD=$(cat "$TFCLIP_SECRETS_DIR/postgres_password")
    export PGPASSWORD
fi

exec tfclip "$@"
