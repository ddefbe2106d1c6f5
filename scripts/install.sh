#!/bin/sh
# Installs or upgrades zwrmd from the tree that this script lies in (a release, or a checkout after `npm run build`), or goes back
# to the version before. It needs no network, may be run again at any time, touches no data, and starts nothing that was stopped.
set -eu

USAGE='usage: install.sh [--node PATH]   install or upgrade; PATH is a Node 20.19 or later to bring along (it is copied)
       install.sh --rollback      go back to the version that ran before the last upgrade'
BASE=/opt/zwrm
CONFIG=/etc/zwrm/config.toml
UNIT_DIR=/usr/local/lib/systemd/system
UNITS='zwrmd.service zwrmd.socket zwrmd-unix.socket'
# From this version on systemd hands over its notification socket (OpenFile=).
NOTIFY_SINCE=253

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
    node_is_new "$1" || fail "--node $1: zwrmd needs Node 20.19 or later, this is $("$1" --version 2>/dev/null || echo none)"
    echo "copy $(readlink -f "$1")"
    return
  fi
  # What was brought along once is brought along by every upgrade.
  if [ -f "$BASE/current/bin/node" ] && [ ! -L "$BASE/current/bin/node" ]; then echo "copy $(readlink -f "$BASE/current/bin/node")"; return; fi
  found=$(command -v node || true)
  [ -n "$found" ] || fail "there is no node on this machine; give one: install.sh --node PATH (20.19 or later)"
  node_is_new "$found" || fail "$found is $("$found" --version), zwrmd needs 20.19 or later; give one: install.sh --node PATH"
  found=$(readlink -f "$found")
  # The unit sees no home folders, and runs only what lies in /usr and /opt/zwrm.
  case $found in /usr/*) echo "link $found" ;; *) echo "copy $found" ;; esac
}

make_user() {
  getent passwd zwrm >/dev/null && return
  useradd --system --user-group --home-dir /var/lib/zwrm --no-create-home --shell /usr/sbin/nologin zwrm
  say "made the system user zwrm"
}

# Copies what a version consists of from $1 to $2, and Node as $3 $4 says.
stage() {
  mkdir -p "$2/bin" "$2/scripts"
  cp -R "$1/dist" "$1/package.json" "$2/"
  for file in $UNITS; do cp "$1/$file" "$2/"; done
  cp -R "$1/scripts/install.sh" "$1/scripts/uninstall.sh" "$1/scripts/systemd" "$2/scripts/"
  for file in README.md CHANGELOG.md LICENSE; do [ ! -f "$1/$file" ] || cp "$1/$file" "$2/"; done
  if [ "$3" = link ]; then ln -s "$4" "$2/bin/node"; else cp "$4" "$2/bin/node"; fi
  for name in zwrmd zwrm; do printf '#!/bin/sh\nexec %s/current/bin/node %s/current/dist/%s.js "$@"\n' "$BASE" "$BASE" "$name" >"$2/bin/$name"; done
  chown -R root:root "$2"
  chmod -R u=rwX,go=rX "$2"
  chmod 0755 "$2/bin/zwrmd" "$2/bin/zwrm" "$2/scripts/install.sh" "$2/scripts/uninstall.sh"
  [ -L "$2/bin/node" ] || chmod 0755 "$2/bin/node"
  # What is on disk before `current` points at it is there after a power cut, too.
  sync -f "$2"
}

write_config() {
  [ ! -e "$CONFIG" ] || return 0
  install -d -o root -g zwrm -m 0750 /etc/zwrm
  "$1/bin/node" "$1/dist/zwrmd.js" --generate-config >"$CONFIG.new"
  chown root:zwrm "$CONFIG.new"
  chmod 0640 "$CONFIG.new"
  mv "$CONFIG.new" "$CONFIG"
  say "wrote $CONFIG: every setting with its default, commented out"
}

# A link is made beside and renamed over the old one, so that there is one at any moment.
point() { ln -sfn "$2" "$BASE/.$1.new" && mv -T "$BASE/.$1.new" "$BASE/$1"; }

put_file() { cmp -s "$1" "$2" || { install -D -m 0644 "$1" "$2"; changed=yes; case $2 in *.socket) sockets_changed=yes ;; esac; }; }

put_units() {
  for file in $UNITS; do put_file "$BASE/current/$file" "$UNIT_DIR/$file"; done
  dropin=$UNIT_DIR/zwrmd.service.d/10-notify.conf
  systemd=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  if [ "${systemd:-0}" -ge "$NOTIFY_SINCE" ]; then
    put_file "$BASE/current/scripts/systemd/notify.conf" "$dropin"
  elif [ -e "$dropin" ]; then
    rm "$dropin"
    changed=yes
  fi
  if booted && [ "$changed" = yes ]; then systemctl daemon-reload; fi
}

put_links() {
  for name in zwrmd zwrm; do
    link=/usr/local/bin/$name
    if [ "$(readlink "$link" 2>/dev/null)" = "$BASE/current/bin/$name" ]; then continue; fi
    if [ -e "$link" ] || [ -L "$link" ]; then say "left $link alone: it is not ours; ours is $BASE/current/bin/$name"; continue; fi
    mkdir -p /usr/local/bin
    ln -s "$BASE/current/bin/$name" "$link"
  done
}

# Only what runs is restarted; what waits, waits on.
restart_if_running() {
  booted || return 0
  if [ "$changed" = yes ] && systemctl is-active --quiet zwrmd.service; then
    systemctl reset-failed zwrmd.service
    say "restarting zwrmd; its sockets stay open"
    if ! systemctl restart zwrmd.service || ! still_active; then
      systemctl --no-pager --lines 5 status zwrmd.service >&2 || true
      fail "the new version does not run; to go back: $BASE/current/scripts/install.sh --rollback"
    fi
    [ "$sockets_changed" = no ] || say "the socket units changed; that takes effect, and drops connections, with: systemctl restart zwrmd.socket zwrmd-unix.socket"
  elif ! systemctl is-active --quiet zwrmd.socket; then
    say "zwrmd is not running; to start it now and at every boot: systemctl enable --now zwrmd"
  fi
}

# Without the notify drop-in a start is "done" before the daemon has read its config.
still_active() {
  for _ in 1 2 3 4; do
    sleep 0.5
    systemctl is-active --quiet zwrmd.service || return 1
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
  "$new/bin/node" "$new/dist/zwrmd.js" --version >/dev/null || fail "the new version does not start on $("$new/bin/node" --version)"
  write_config "$new"
  # A version that does not take the config is not installed over one that does.
  "$new/bin/node" "$new/dist/zwrmd.js" --check-config --config "$CONFIG" >/dev/null || fail "the new version does not take $CONFIG as it stands; nothing was installed"
  before=$(target_of current)
  if [ "$before" = "$version" ] && diff -r "$BASE/$version" "$new" >/dev/null 2>&1; then
    rm -rf "$new"
    say "zwrmd $version is installed already"
  else
    changed=yes
    rm -rf "$BASE/.old-$version"
    [ ! -e "$BASE/$version" ] || mv "$BASE/$version" "$BASE/.old-$version"
    mv "$new" "$BASE/$version"
    rm -rf "$BASE/.old-$version"
    [ -z "$before" ] || [ "$before" = "$version" ] || point previous "$before"
    point current "$version"
    say "zwrmd $version is installed in $BASE/$version${before:+ (before: $before)}"
  fi
}

rollback() {
  before=$(target_of current)
  to=$(target_of previous)
  [ -f "$BASE/${to:-none}/dist/zwrmd.js" ] || fail "there is no version to go back to"
  "$BASE/$to/bin/node" "$BASE/$to/dist/zwrmd.js" --check-config --config "$CONFIG" >/dev/null || fail "zwrmd $to does not take $CONFIG as it stands; nothing was changed"
  point current "$to"
  point previous "$before"
  changed=yes
  say "zwrmd is $to again (before: $before)"
}

main() {
  node_path=
  action=install_tree
  case ${1-} in
    '') [ $# -eq 0 ] || usage ;;
    --rollback) [ $# -eq 1 ] || usage; action=rollback ;;
    --node) [ $# -eq 2 ] || usage; node_path=$2 ;;
    -h | --help) echo "$USAGE"; exit 0 ;;
    *) usage ;;
  esac
  [ "$(id -u)" = 0 ] || fail "run it as root"
  for program in systemctl useradd flock; do command -v "$program" >/dev/null || fail "there is no $program on this machine"; done
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
