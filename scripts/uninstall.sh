#!/bin/sh
# Takes zwrmd's program and units off this machine. It never touches data: the state, the config, your drop-ins and the user stay.
set -eu

BASE=/opt/zwrm
UNIT_DIR=/usr/local/lib/systemd/system
UNITS='zwrmd.service zwrmd.socket zwrmd-unix.socket'

fail() { echo "uninstall.sh: $*" >&2; exit 1; }

case ${1-} in
  '') ;;
  -h | --help) echo 'usage: uninstall.sh   stop zwrmd and remove its program and units; state, config and user stay'; exit 0 ;;
  *) echo 'usage: uninstall.sh' >&2; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || fail "run it as root"
# The shell reads on in this file while it removes it: everything from here is read at once.
main() {
  if [ -d "$BASE" ]; then
    exec 9>"$BASE/.lock"
    flock -n 9 || fail "another install.sh or uninstall.sh is at work"
  fi
  for unit in $UNITS; do
    [ -e "$UNIT_DIR/$unit" ] || continue
    if [ -d /run/systemd/system ]; then systemctl disable --quiet --now "$unit"; else systemctl disable --quiet "$unit"; fi
  done
  for unit in $UNITS; do rm -f "$UNIT_DIR/$unit"; done
  rm -f "$UNIT_DIR/zwrmd.service.d/10-notify.conf"
  rmdir "$UNIT_DIR/zwrmd.service.d" 2>/dev/null || true
  for name in zwrmd zwrm; do
    link=/usr/local/bin/$name
    [ "$(readlink "$link" 2>/dev/null)" != "$BASE/current/bin/$name" ] || rm "$link"
  done
  for folder in "$BASE"/* "$BASE"/.new-* "$BASE"/.old-*; do
    if [ -L "$folder" ]; then rm "$folder"; elif [ -f "$folder/package.json" ] && [ -d "$folder/dist" ]; then rm -rf "$folder"; fi
  done
  rm -f "$BASE/.lock"
  rmdir "$BASE" 2>/dev/null || true
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    for unit in $UNITS; do systemctl reset-failed "$unit" 2>/dev/null || true; done
  fi
  rm -rf /run/zwrm
  echo "zwrmd is off this machine. What stays is yours: /var/lib/zwrm (state), /etc/zwrm (config), /etc/systemd/system/zwrmd*.d (your drop-ins), the user zwrm."
  exit 0
}
main
