# The Debian roots and the container that boots one of them: fetch, copy, boot, run a command in it, halt. Sourced by ../verify-install.
NSPAWN=
LEADER=
BOX=
GROUP=

why_not_here() {
  local program
  [ "$(id -u)" = 0 ] || { echo "it needs root"; return; }
  for program in debootstrap systemd-nspawn nsenter; do
    command -v "$program" >/dev/null || { echo "there is no $program (Debian packages debootstrap and systemd-container)"; return; }
  done
  [ -f "$TREE/dist/zwrmd.js" ] || echo "there is no dist: run npm run build first"
}

root_of() { echo "${ZWRM_ROOTS:-$WORK}/$1"; }

packages_of() {
  local common=systemd,systemd-sysv,dbus,procps,curl
  case $1 in trixie) echo "$common,nodejs" ;; *) echo "$common" ;; esac
}

# Both at once; a root is there under its name only when it is whole.
fetch_roots() {
  local suite root
  mkdir -p "${ZWRM_ROOTS:-$WORK}"
  for suite in "${SUITES[@]}"; do
    root=$(root_of "$suite")
    [ -d "$root" ] || {
      rm -rf "$root.part"
      if debootstrap --variant=minbase --include="$(packages_of "$suite")" "$suite" "$root.part" ${ZWRM_MIRROR:+"$ZWRM_MIRROR"}; then mv "$root.part" "$root"; else rm -rf "$root.part"; fi
    } >"$WORK/$suite.log" 2>&1 </dev/null &
  done
  wait
}

# A copy of the root, with the release to install, the tools of the checks, and the Node that Debian 12 lacks.
prepare_box() {
  local release node
  BOX=$WORK/box-$SUITE
  cp -a "$(root_of "$SUITE")" "$BOX"
  release=$BOX/root/release
  mkdir -p "$release/scripts" "$BOX/usr/local/lib/zwrm-verify" "$BOX/home/alice"
  cp -R "$TREE/dist" "$TREE/package.json" "$TREE/zwrmd.service" "$TREE/zwrmd.socket" "$TREE/zwrmd-unix.socket" "$release/"
  cp -R "$HERE/install.sh" "$HERE/uninstall.sh" "$HERE/systemd" "$HERE/zwrm-agent.service" "$release/scripts/"
  cp "$PARTS"/*.mjs "$BOX/usr/local/lib/zwrm-verify/"
  echo secret >"$BOX/home/alice/secret"
  chmod -R a+rX "$BOX/home/alice" "$BOX/usr/local/lib/zwrm-verify"
  node=${ZWRM_NODE:-$(readlink -f "$(command -v node)")}
  [ "$SUITE" = trixie ] || install -D -m 0755 "$node" "$BOX/opt/node/bin/node"
  # Restarts are counted in the journal; a check that makes many lines must not lose some.
  install -D /dev/stdin "$BOX/etc/systemd/journald.conf.d/all.conf" <<<$'[Journal]\nRateLimitBurst=0'
}

# A control group for each box: two that share one see, and end, each other's processes.
make_group() {
  local mount
  mount=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
  [ -n "$mount" ] || { echo "no cgroup2 is mounted" >"$BOX.console"; return 1; }
  GROUP=$mount$(sed -n 's/^0::\(.*[^/]\)\{0,1\}\/*$/\1/p' /proc/self/cgroup)/$(basename "$WORK")-$SUITE
  mkdir "$GROUP" 2>"$BOX.console" || { GROUP=; return 1; }
}

# On a machine that has much else to do, nothing that boots in ten seconds alone does so in thirty.
BOOT_SECONDS=150

boot_box() {
  local state=unknown until=$((SECONDS + BOOT_SECONDS))
  make_group || return 1
  # shellcheck disable=SC2016
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 setsid sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$GROUP" systemd-nspawn -D "$BOX" --boot --register=no --keep-unit --private-network --console=pipe >"$BOX.console" 2>&1 </dev/null &
  NSPAWN=$!
  while [ "$SECONDS" -lt "$until" ]; do
    kill -0 "$NSPAWN" 2>/dev/null || return 1
    # Anew each time: before the container's first process there is another one for a moment, and the newest is the one that stays.
    LEADER=$(pgrep -n -P "$NSPAWN")
    if [ -n "$LEADER" ]; then
      echo "$LEADER" >"$WORK/leader-$SUITE"
      state=$(box systemctl is-system-running 2>/dev/null)
      case $state in running | degraded) return 0 ;; esac
    fi
    sleep 0.2
  done
  return 1
}

box_complaint() { tail -n 3 "$BOX.console" 2>/dev/null | tr -s '[:space:]' ' '; }

# box COMMAND...: runs it in the container, as root, with nothing of this shell's environment; never longer than two minutes and a half.
box() { nsenter -t "$LEADER" -a -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb timeout 150 "$@"; }

# A line of shell in the container.
shell() { box sh -c "$1"; }

halt_box() {
  if [ -n "$LEADER" ]; then
    timeout 10 nsenter -t "$LEADER" -a -- systemctl poweroff >/dev/null 2>&1
    for _ in $(seq 100); do
      kill -0 "$NSPAWN" 2>/dev/null || break
      sleep 0.1
    done
  fi
  if [ -n "$NSPAWN" ]; then
    # Killing the first process of a container ends everything in it; one that came after the last look is a child too.
    [ -z "$LEADER" ] || kill -KILL "$LEADER" 2>/dev/null
    pkill -KILL -P "$NSPAWN" 2>/dev/null
    kill -KILL "$NSPAWN" 2>/dev/null
    wait "$NSPAWN" 2>/dev/null
  fi
  NSPAWN=
  LEADER=
  rm -f "$WORK/leader-$SUITE"
  # Its last processes may still be on their way out.
  for _ in $(seq 50); do
    [ -n "$GROUP" ] && [ -d "$GROUP" ] || break
    find "$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
  done
  GROUP=
  [ -z "$BOX" ] || rm -rf --one-file-system "$BOX"
  BOX=
}
