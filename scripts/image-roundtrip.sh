#!/bin/sh
# image-roundtrip.sh FILE: starts a daemon of its own, pushes FILE, lists it, downloads it with curl in two halves
# (the second resumes with `curl -C -`), and compares: sha256sum has the last word. Needs a build (npm run build).
set -eu
file=$(realpath "${1:?usage: image-roundtrip.sh FILE}")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'kill "$daemon" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
key=roundtrip
hash=$(printf %s "$key" | sha256sum | cut -d ' ' -f 1)
ZWRM_LICENSE_KEY=$key ZWRM_SERVER_HOST=127.0.0.1 ZWRM_SERVER_PORT=0 node dist/zwrmd.js --data-dir "$work/data" >"$work/log" 2>&1 &
daemon=$!
for _ in $(seq 100); do url=$(sed -n 's/.*listening address=\(http[^ ]*\).*/\1/p' "$work/log"); [ -n "$url" ] && break; sleep 0.1; done
[ -n "$url" ] || { cat "$work/log"; exit 1; }

expected=$(sha256sum "$file" | cut -d ' ' -f 1)
size=$(stat -c %s "$file")
node dist/zwrm.js --api-url "$url" image push "$file" --app roundtrip
node dist/zwrm.js --api-url "$url" image list

# The first half ends as a broken connection would: curl takes half of the bytes and is stopped.
download() { curl -sS -H "Authorization: Bearer $hash" -o "$work/out" "$@" "$url/v1/internal/images/sha256:$expected"; }
download -r "0-$((size / 2 - 1))"
echo "first half: $(stat -c %s "$work/out") of $size bytes"
download -C -
actual=$(sha256sum "$work/out" | cut -d ' ' -f 1)
echo "pushed     $expected"
echo "downloaded $actual"
[ "$expected" = "$actual" ] || { echo "FAILED: the bytes differ"; exit 1; }
echo "the same, byte for byte"
