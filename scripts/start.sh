#!/bin/sh
# npm start: a control plane to try, without root and without a config file of yours.
# Everything is kept in ./zwrm-data; remove that folder to start over.
set -eu
cd "$(dirname "$0")/.."
data=zwrm-data
if [ ! -f "$data/config.toml" ]; then
  umask 077
  mkdir -p "$data"
  key=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
  hash=$(printf %s "$key" | sha256sum | cut -d ' ' -f 1)
  # Relative paths: whatever this folder is called, they stay short and need no quoting.
  printf '[state]\ndata_dir = "%s"\n\n[server]\nsocket = "%s/zwrmd.sock"\n\n[license]\nkey_hashes = ["%s"]\n' "$data" "$data" "$hash" >"$data/config.toml.new"
  mv "$data/config.toml.new" "$data/config.toml"
  echo "A licence key for your host agents was made. It is shown this once; the daemon keeps only its hash:"
  echo "  licence key                $key"
  echo "  what agents send (Bearer)  $hash"
fi
exec node dist/zwrmd.js --config "$data/config.toml" "$@"
