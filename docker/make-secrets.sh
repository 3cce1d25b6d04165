#!/bin/sh
# Makes the secret files that docker-compose.yml names, in docker/secrets/. What is there stays.
set -eu

cd "$(dirname "$0")"
umask 077
mkdir -p secrets

for name in postgres_password tfclip_admin_key; do
    if [ -e "secrets/$name" ]; then
        echo "docker/secrets/$name is there already"
        continue
    fi
    value=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    if [ "${#value}" -ne 48 ]; then
        echo "cannot read 24 bytes from /dev/urandom" >&2
        exit 1
    fi
    printf '%s\n' "$value" > "secrets/$name.new"
    # Compose mounts a file with the mode it has, and the users inside the containers are others than ours. On this
    # machine the folder, which is closed to everybody else, keeps the file secret.
    chmod 444 "secrets/$name.new"
    mv "secrets/$name.new" "secrets/$name"
    echo "docker/secrets/$name made"
done
