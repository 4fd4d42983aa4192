#!/usr/bin/env bash
# Brings an image to a machine that SSH reaches, and takes the last one back if the new one does not
# serve: deploy/deploy.sh HOST IMAGE URL. The machine needs Docker with Compose, and `.env` in
# DEPLOY_PATH (by default `cinema` in the account's home). docs/operations.md#delivery
#
# The database keeps the new migrations after a rollback: the last version must work with them.
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: deploy.sh HOST IMAGE URL" >&2; exit 2; }
host=$1 image=$2 url=$3
path=${DEPLOY_PATH:-cinema}
cd "$(dirname "$0")/.."
# The two become parts of a command on the other machine.
[[ $image =~ ^[A-Za-z0-9._/:@-]+$ && $path =~ ^[A-Za-z0-9._/-]+$ ]] || { echo "a name with odd characters" >&2; exit 2; }

on_host() { ssh -o BatchMode=yes "$host" "set -eu; cd '$path'; $1"; }
# Only the programs that stay: Compose counts `prepare`, which ends, as a failure. What overlays add
# reads files of deploy/, which are new ones. Whether the proxy works, the smoke test finds out.
# shellcheck disable=SC2016 # the other machine expands it
start='docker compose up --detach --no-build --remove-orphans --wait --wait-timeout 300 web worker trainer beat
    beside=$(docker compose config --services | grep -xE "proxy|prometheus|grafana" || true)
    [ -z "$beside" ] || docker compose up --detach --no-deps --force-recreate $beside || echo "Not started:" $beside >&2'
serves() { python3 deploy/smoke_test.py --within "${SMOKE_WITHIN_S:-60}" "$url"; }

echo "Sending $image to $host ..."
# What runs now is kept in `last`: its files, and its image in `.env`.
tar --create --gzip compose.yaml deploy | on_host '
    rm -rf next; mkdir next; tar --extract --gzip --directory next
    if [ -f compose.yaml ]; then rm -rf last; mkdir last; cp -R compose.yaml deploy .env last/; fi'
on_host "
    umask 077; { grep -av '^CINEMA_IMAGE=' .env || [ \$? = 1 ]; echo 'CINEMA_IMAGE=$image'; } > next/.env
    rm -rf deploy; mv next/compose.yaml next/deploy next/.env .; rmdir next"
if on_host "docker compose pull --quiet web; $start" && serves; then
    echo "$image serves at $url."
    exit
fi
echo "$image does not serve." >&2
on_host 'docker compose logs --tail 50 prepare web >&2; test -d last' || {
    echo "There is no earlier version to go back to." >&2; exit 1; }
echo "Going back to the last version ..." >&2
on_host "rm -rf deploy; cp -R last/. .; $start" && serves && echo "The last version serves again." >&2
exit 1
