#!/bin/sh
# Installs or upgrades zwrmd, or with --agent a host's zwrm-agent, from the tree that this script lies in (a release, or a checkout after
# `npm run build`), or goes back to the version before. It needs no network, may be run again at any time, touches no data, and starts
# nothing that was stopped. The two share only the folder of their configs: each has its own versions and its own way back.
set -eu

USAGE='usage: install.sh [--agent] [--node PATH]   install or upgrade; PATH is a Node 20.19 or later to bring along (it is copied)
       install.sh [--agent] --rollback      go back to the version that ran before the last upgrade

What it installs is zwrmd, the control plane, with the command zwrm; with --agent it is zwrm-agent, which runs the machines of this host.'
CONFIG_DIR=/etc/zwrm
UNIT_DIR=/usr/local/lib/systemd/system
DAEMON_UNITS='zwrmd.service zwrmd.socket zwrmd-unix.socket'
AGENT_UNITS=scripts/zwrm-agent.service
# README.md and what it leads to, in the same places, so that its links lead somewhere on the machine, too.
DOCUMENTS="README.md CHANGELOG.md LICENSE
  src/daemon/OPERATING.md src/agent/OPERATING.md src/api/REFERENCE.md src/wire/PROTOCOL.md src/fleet/DRAIN.md src/journal/FORMAT.md
  src/README.md src/STYLE.md src/GLOSSARY.md src/ADD-A-NOUN.md test/README.md"
# From this version on systemd hands over its notification socket (OpenFile=).
NOTIFY_SINCE=253

# ENTRY is the unit that is active where the program is in use; GROUP may read its config, and is made with a user of that name unless it is
# root; CHECKED_WITH stands in for the settings that have no default, which may not be filled in yet or come from the unit's environment.
the_daemon() {
  NAME=zwrmd FLAG='' BASE=/opt/zwrm UNITS=$DAEMON_UNITS ENTRY=zwrmd.socket COMMANDS='zwrmd zwrm'
  CONFIG=$CONFIG_DIR/config.toml GROUP=zwrm CONFIG_MODE=0640 CHECKED_WITH=''
  MEANWHILE='its sockets stay open' FIRST=''
}
the_agent() {
  NAME=zwrm-agent FLAG=' --agent' BASE=/opt/zwrm-agent UNITS=$AGENT_UNITS ENTRY=zwrm-agent.service COMMANDS=zwrm-agent
  CONFIG=$CONFIG_DIR/agent.toml GROUP=root CONFIG_MODE=0600 CHECKED_WITH='ZWRM_AGENT_CONTROL_PLANE_URL=http://127.0.0.1 ZWRM_AGENT_LICENSE_KEY=unset'
  MEANWHILE='its machines go on' FIRST=", once control_plane_url and license_key are set in $CONFIG"
}

fail() { echo "install.sh: $*" >&2; exit 1; }
say() { echo "$*"; }
usage() { echo "$USAGE" >&2; exit 2; }
booted() { [ -d /run/systemd/system ]; }
version_of() { sed -n 's/^  "version": "\([0-9A-Za-z.+-]*\)",\{0,1\}$/\1/p' "$1/package.json"; }
target_of() { readlink "$BASE/$1" 2>/dev/null || true; }

node_is_new() {
  "$1" -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' 2>/dev/null
}

# Prints where the new version's Node comes from: "copy PATH" or "link PATH".
find_node() {
  if [ -n "$1" ]; then
    [ -x "$1" ] || fail "--node $1: there is no such program"
    node_is_new "$1" || fail "--node $1: $NAME needs Node 20.19 or later, this is $("$1" --version 2>/dev/null || echo none)"
    echo "copy $(readlink -f "$1")"
    return
  fi
  # What was brought along once is brought along by every upgrade.
  if [ -f "$BASE/current/bin/node" ] && [ ! -L "$BASE/current/bin/node" ]; then echo "copy $(readlink -f "$BASE/current/bin/node")"; return; fi
  found=$(command -v node || true)
  [ -n "$found" ] || fail "there is no node on this machine; give one: install.sh$FLAG --node PATH (20.19 or later)"
  node_is_new "$found" || fail "$found is $("$found" --version), $NAME needs 20.19 or later; give one: install.sh$FLAG --node PATH"
  found=$(readlink -f "$found")
  # The unit sees no home folders, and runs only what lies in /usr and /opt/zwrm.
  case $found in /usr/*) echo "link $found" ;; *) echo "copy $found" ;; esac
}

make_user() {
  [ "$GROUP" != root ] || return 0
  getent passwd zwrm >/dev/null && return
  command -v useradd >/dev/null || fail "there is no useradd on this machine"
  useradd --system --user-group --home-dir /var/lib/zwrm --no-create-home --shell /usr/sbin/nologin zwrm
  say "made the system user zwrm"
}

# Copies what a version consists of from $1 to $2, and Node as $3 $4 says. It is whole: either program can be installed from there, too.
stage() {
  mkdir -p "$2/bin" "$2/scripts"
  cp -R "$1/dist" "$1/package.json" "$2/"
  for file in $DAEMON_UNITS $AGENT_UNITS; do cp "$1/$file" "$2/$file"; done
  cp -R "$1/scripts/install.sh" "$1/scripts/uninstall.sh" "$1/scripts/systemd" "$2/scripts/"
  for file in $DOCUMENTS; do [ ! -f "$1/$file" ] || install -D -m 0644 "$1/$file" "$2/$file"; done
  if [ "$3" = link ]; then ln -s "$4" "$2/bin/node"; else cp "$4" "$2/bin/node"; fi
  for name in $COMMANDS; do
    printf '#!/bin/sh\nexec %s/current/bin/node %s/current/dist/%s.js "$@"\n' "$BASE" "$BASE" "$name" >"$2/bin/$name"
    chmod 0755 "$2/bin/$name"
  done
  chown -R root:root "$2"
  chmod -R u=rwX,go=rX "$2"
  chmod 0755 "$2/scripts/install.sh" "$2/scripts/uninstall.sh"
  [ -L "$2/bin/node" ] || chmod 0755 "$2/bin/node"
  # What is on disk before `current` points at it is there after a power cut, too.
  sync -f "$2"
}

write_config() {
  [ ! -e "$CONFIG" ] || return 0
  # Where it is the daemon's already, it stays its group's.
  if [ "$GROUP" != root ] || [ ! -d "$CONFIG_DIR" ]; then install -d -o root -g "$GROUP" -m 0750 "$CONFIG_DIR"; fi
  "$1/bin/node" "$1/dist/$NAME.js" --generate-config >"$CONFIG.new"
  chown "root:$GROUP" "$CONFIG.new"
  chmod "$CONFIG_MODE" "$CONFIG.new"
  mv "$CONFIG.new" "$CONFIG"
  say "wrote $CONFIG: every setting with its default, commented out"
}

# Says on stderr what the version in $1 has against the config.
takes_config() {
  # shellcheck disable=SC2086
  env $CHECKED_WITH "$1/bin/node" "$1/dist/$NAME.js" --check-config --config "$CONFIG" >/dev/null
}

# A link is made beside and renamed over the old one, so that there is one at any moment.
point() { ln -sfn "$2" "$BASE/.$1.new" && mv -T "$BASE/.$1.new" "$BASE/$1"; }

put_file() { cmp -s "$1" "$2" || { install -D -m 0644 "$1" "$2"; changed=yes; case $2 in *.socket) sockets_changed=yes ;; esac; }; }

put_units() {
  for file in $UNITS; do
    unit=${file##*/}
    put_file "$BASE/current/$file" "$UNIT_DIR/$unit"
    own=/etc/systemd/system/$unit
    [ ! -e "$own" ] || say "$own takes the place of the unit that is installed here; to use this one: rm $own && systemctl daemon-reload && systemctl restart $unit"
  done
  [ "$NAME" != zwrmd ] || put_notify
  if booted && [ "$changed" = yes ]; then systemctl daemon-reload; fi
}

put_notify() {
  dropin=$UNIT_DIR/zwrmd.service.d/10-notify.conf
  systemd=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  if [ "${systemd:-0}" -ge "$NOTIFY_SINCE" ]; then
    put_file "$BASE/current/scripts/systemd/notify.conf" "$dropin"
  elif [ -e "$dropin" ]; then
    rm "$dropin"
    changed=yes
  fi
}

put_links() {
  for name in $COMMANDS; do
    link=/usr/local/bin/$name
    if [ "$(readlink "$link" 2>/dev/null)" = "$BASE/current/bin/$name" ]; then continue; fi
    if [ -e "$link" ] || [ -L "$link" ]; then say "left $link alone: it is not ours; ours is $BASE/current/bin/$name"; continue; fi
    mkdir -p /usr/local/bin
    ln -s "$BASE/current/bin/$name" "$link"
  done
}

# Whether it runs or tries to; whoever goes back from a version that does not run was not stopped either.
is_running() {
  case $(systemctl is-active "$NAME.service") in
    active | activating) ;;
    failed) [ "$action" = rollback ] ;;
    *) return 1 ;;
  esac
}

# Only what runs is restarted; what waits, waits on.
restart_if_running() {
  booted || return 0
  if [ "$changed" = yes ] && is_running; then
    for file in $UNITS; do systemctl reset-failed "${file##*/}" 2>/dev/null || true; done
    say "restarting $NAME; $MEANWHILE"
    if ! systemctl restart "$NAME.service" || ! still_active; then
      systemctl --no-pager --lines 5 status "$NAME.service" >&2 || true
      fail "the new version does not run; to go back: $BASE/current/scripts/install.sh$FLAG --rollback"
    fi
    [ "$sockets_changed" = no ] || say "the socket units changed; that takes effect, and drops connections, with: systemctl restart zwrmd.socket zwrmd-unix.socket"
  elif ! systemctl is-active --quiet "$ENTRY"; then
    say "$NAME is not running; to start it now and at every boot$FIRST: systemctl enable --now $NAME"
  fi
}

# A start is "done" before the agent has read its config, and without the notify drop-in before the daemon has.
still_active() {
  for _ in 1 2 3 4; do
    sleep 0.5
    systemctl is-active --quiet "$NAME.service" || return 1
  done
}

# Everything but the current version and the one before.
prune() {
  for folder in "$BASE"/*; do
    name=${folder##*/}
    case $name in current | previous | "$(target_of current)" | "$(target_of previous)") continue ;; esac
    [ ! -f "$folder/dist/zwrmd.js" ] || rm -rf "$folder"
  done
}

install_tree() {
  from=$(cd "$(dirname "$0")/.." && pwd -P)
  [ -f "$from/dist/zwrmd.js" ] || fail "$from/dist is missing: run npm run build there, or unpack a release"
  version=$(version_of "$from")
  [ -n "$version" ] || fail "$from/package.json says no version"
  node=$(find_node "$1")
  make_user
  new=$BASE/.new-$version
  rm -rf "$new"
  stage "$from" "$new" "${node%% *}" "${node#* }"
  "$new/bin/node" "$new/dist/$NAME.js" --version >/dev/null || fail "the new version does not start on $("$new/bin/node" --version)"
  write_config "$new"
  # A version that does not take the config is not installed over one that does.
  takes_config "$new" || fail "the new version does not take $CONFIG as it stands; nothing was installed"
  before=$(target_of current)
  if [ "$before" = "$version" ] && diff -r "$BASE/$version" "$new" >/dev/null 2>&1; then
    rm -rf "$new"
    say "$NAME $version is installed already"
  else
    changed=yes
    rm -rf "$BASE/.old-$version"
    [ ! -e "$BASE/$version" ] || mv "$BASE/$version" "$BASE/.old-$version"
    mv "$new" "$BASE/$version"
    rm -rf "$BASE/.old-$version"
    [ -z "$before" ] || [ "$before" = "$version" ] || point previous "$before"
    point current "$version"
    say "$NAME $version is installed in $BASE/$version${before:+ (before: $before)}"
  fi
}

rollback() {
  before=$(target_of current)
  to=$(target_of previous)
  [ -f "$BASE/${to:-none}/dist/zwrmd.js" ] || fail "there is no version to go back to"
  takes_config "$BASE/$to" || fail "$NAME $to does not take $CONFIG as it stands; nothing was changed"
  point current "$to"
  point previous "$before"
  changed=yes
  say "$NAME is $to again (before: $before)"
}

main() {
  node_path=
  action=install_tree
  what=the_daemon
  while [ $# -gt 0 ]; do
    case $1 in
      --agent) what=the_agent ;;
      --rollback) action=rollback ;;
      --node) [ $# -ge 2 ] || usage; node_path=$2; shift ;;
      -h | --help) echo "$USAGE"; exit 0 ;;
      *) usage ;;
    esac
    shift
  done
  [ "$action" = install_tree ] || [ -z "$node_path" ] || usage
  "$what"
  [ "$(id -u)" = 0 ] || fail "run it as root"
  for program in systemctl flock; do command -v "$program" >/dev/null || fail "there is no $program on this machine"; done
  umask 022
  changed=no
  sockets_changed=no
  mkdir -p "$BASE"
  exec 9>"$BASE/.lock"
  flock -n 9 || fail "another install.sh or uninstall.sh is at work"
  "$action" "$node_path"
  put_units
  put_links
  restart_if_running
  prune
}

main "$@"
