#!/bin/sh
# Takes secrets from files into the variables that libraries read, then becomes the command, so that signals reach it.
# The command is `meltpoint` with these arguments, unless the first names another program of the image.
set -eu

secrets="PGPASSWORD MLFLOW_TRACKING_PASSWORD MLFLOW_TRACKING_TOKEN AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY"

fail() {
  echo "$1" >&2
  exit 2
}

for name in $secrets; do
  eval "file=\${${name}_FILE:-}"
  [ -n "$file" ] || continue
  eval "present=\${$name:-}"
  [ -z "$present" ] || fail "$name and ${name}_FILE are both set; give one of them"
  [ -f "$file" ] || fail "${name}_FILE: there is no file $file; put the secret there (see docs/cluster.md)"
  [ -r "$file" ] || fail "${name}_FILE: user $(id -u) may not read $file; change its mode or its owner"
  value=$(cat "$file")
  [ -n "$value" ] || fail "${name}_FILE: $file is empty; put the secret there (see docs/cluster.md)"
  export "$name=$value"
  unset "${name}_FILE"
done

case "${1:-}" in
  meltpoint | mlflow | ray | python | sh | bash) ;;
  *) set -- meltpoint "$@" ;;
esac
exec "$@"
