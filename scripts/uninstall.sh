#!/bin/sh
# Takes the program and units of zwrmd, or with --agent those of zwrm-agent, off this machine. It never touches data: the state, the
# config, your drop-ins and the user stay; so does what the agent runs, and whichever of the two was not named.
set -eu

USAGE='usage: uninstall.sh           stop zwrmd and remove its program and units; state, config and user stay
       uninstall.sh --agent   stop zwrm-agent and remove its program and unit; machines go on (to move them away before: zwrm host drain), state and config stay'
UNIT_DIR=/usr/local/lib/systemd/system

the_daemon() {
  # The sockets first: a client that calls between would have the daemon started again.
  NAME=zwrmd BASE=/opt/zwrm UNITS='zwrmd.socket zwrmd-unix.socket zwrmd.service' COMMANDS='zwrmd zwrm' RUN=/run/zwrm
  STAYS='/var/lib/zwrm (state), /etc/zwrm (config), /etc/systemd/system/zwrmd*.d (your drop-ins), the user zwrm'
}
the_agent() {
  NAME=zwrm-agent BASE=/opt/zwrm-agent UNITS=zwrm-agent.service COMMANDS=zwrm-agent RUN=
  STAYS='/var/lib/zwrm-agent (state, images), /etc/zwrm/agent.toml, /etc/systemd/system/zwrm-agent.service.d (your drop-ins), and machines that were running: they go on, and an agent that is installed again finds them'
}

fail() { echo "uninstall.sh: $*" >&2; exit 1; }

case ${1-} in
  '') the_daemon ;;
  --agent) the_agent ;;
  -h | --help) echo "$USAGE"; exit 0 ;;
  *) echo "$USAGE" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo "$USAGE" >&2; exit 2; }
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
  rm -f "$UNIT_DIR/$NAME.service.d/10-notify.conf"
  rmdir "$UNIT_DIR/$NAME.service.d" 2>/dev/null || true
  for name in $COMMANDS; do
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
  [ -z "$RUN" ] || rm -rf "$RUN"
  echo "$NAME is off this machine. What stays is yours: $STAYS."
  exit 0
}
main
