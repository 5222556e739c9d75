#!/bin/sh
# Writes the secrets of compose.yaml into docker/secrets, or into the folder that is named; those that exist stay.
# Only you may enter the folder. The files in it can be read by all, since the parts run as users of their own.
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"
for name in ledger-password ray-token; do
  if [ -s "$folder/$name" ]; then
    echo "$folder/$name is kept"
  else
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$folder/$name"
    chmod 444 "$folder/$name"
    echo "$folder/$name"
  fi
done
