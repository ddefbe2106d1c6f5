# shellcheck shell=bash
# What belongs to a fleet, who keeps it, and how it is ended; sourced by fleet, whose `hurry` and `STOP_S` it reads.
#
# Nothing is ever ended by its name. What belongs to a fleet is known by its environment, which no other process has: FLEET_MEMBER=<its
# folder> for what fleet starts, ZWRM_MACHINE_DIR=<its folder>/h-N/state/machines/... for machines; or, where a machine wrote over its own
# environment, by its cgroup, or by a working folder there. So whoever comes later finds it too, after the keeper (the script that waits)
# was killed.

pids_of() { sed -n 's,^/proc/\([0-9]*\)/.*,\1,p'; }

# What runs in the folder $1 because it was started here: zwrmd, agents, COMMAND and what that left.
members() { grep -lszx "FLEET_MEMBER=${1//./\\.}" /proc/[0-9]*/environ | pids_of; }

# What runs as a machine below the folder $1, of the host $2 (h-*: of all).
machines() {
  grep -lszxE "ZWRM_MACHINE_DIR=${1//./\\.}/${2/\*/[0-9]+}/state/machines/.*" /proc/[0-9]*/environ | pids_of
  local pid host group
  # shellcheck disable=SC2231
  for host in "$1"/$2; do
    for group in $(groups_of "$host"); do cat "$group/cgroup.procs" 2>/dev/null || true; done
  done
  for pid in $(find /proc/[0-9]*/cwd -maxdepth 0 -lname "$1/$2/state/machines/*" 2>/dev/null | pids_of); do
    # Somebody's shell that looks at a machine's folder has a terminal; a machine has none.
    [ "$(stat_field "$pid" 7)" != 0 ] || echo "$pid"
  done
}

# The cgroups of the machines of the host in the folder $1, inner ones first. Their agent names them after where it keeps its machines.
groups_of() {
  local mount name
  name=zwrm-$(printf %s "$1/state/machines" | sha256sum | cut -c 1-12)-
  for mount in $(sed -n 's/^[^ ]* \([^ ]*\) cgroup2 .*/\1/p' /proc/mounts); do find "$mount" -depth -type d -path "*/$name*" 2>/dev/null || true; done
}

# The field $2 of /proc/PID/stat as proc(5) numbers them, from 3 on.
stat_field() {
  local line
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
  # shellcheck disable=SC2086
  set -- "$2" ${line##*) }
  shift $(($1 - 2))
  echo "$1"
}

# Whether a pid that was noted in $1/pid is still that process.
runs() { [ -s "$1/pid" ] && members "${1%/*}" | grep -qx "$(cat "$1/pid")"; }

# One line that names this process for as long as the machine runs: pid, start time, pid namespace, boot.
identity() { echo "$1 $(stat_field "$1" 22) $(readlink /proc/self/ns/pid) $(cat /proc/sys/kernel/random/boot_id)"; }

# How it stands with the keeper of the folder $1: none, alive, dead, or elsewhere (in another container on the same kernel).
keeper_of() {
  local pid ticks space boot
  read -r pid ticks space boot 2>/dev/null <"$1/keeper" || { echo none; return; }
  if [ "$boot" != "$(cat /proc/sys/kernel/random/boot_id)" ]; then echo dead
  elif [ "$space" != "$(readlink /proc/self/ns/pid)" ]; then echo elsewhere
  elif [ "$(identity "$pid")" = "$pid $ticks $space $boot" ] && [ "$(stat_field "$pid" 3)" != Z ]; then echo alive
  else echo dead; fi
}

# end SECONDS LISTER...: asks what LISTER lists to stop, kills what is left after that time, and returns when there is nothing more.
end() {
  local pids seconds=$1 start=$SECONDS
  shift
  pids=$("$@")
  # A process that was stopped by SIGSTOP hears nothing until it goes on.
  # shellcheck disable=SC2086
  [ -z "$pids" ] || [ "$hurry" = yes ] || { kill -TERM $pids; kill -CONT $pids; } 2>/dev/null || true
  while pids=$("$@"); [ -n "$pids" ]; do
    # shellcheck disable=SC2086
    [ "$hurry" = no ] && [ $((SECONDS - start)) -lt "$seconds" ] || kill -KILL $pids 2>/dev/null || true
    [ $((SECONDS - start)) -lt $((seconds + 10)) ] || return 1
    sleep 0.1
  done
}

all_but_daemon() { members "$1" | grep -vx "$(cat "$1/zwrmd/pid" 2>/dev/null || echo none)" || true; }

# Agents first, so that nobody starts a machine anew; the daemon last, so that nobody misses it.
end_fleet() { end "$STOP_S" all_but_daemon "$1" && end "$STOP_S" machines "$1" 'h-*' && end 15 members "$1"; }

# Only what a fleet makes, and the folder where nothing else is in it.
remove_fleet() {
  rm -rf "${1:?}"/zwrmd "${1:?}"/h-[0-9]* "${1:?}"/bin "${1:?}/licence" "${1:?}/fleet" "${1:?}/keeper"
  rmdir "$1" 2>/dev/null || say "left $1: there is something in it that no fleet put there"
}

# clean DIR KEEP: ends everything of the folder; KEEP says whether the folder stays.
clean() {
  if ! end_fleet "$1"; then
    echo "fleet: these processes do not end: $(members "$1" | tr '\n' ' ')$(machines "$1" 'h-*' | tr '\n' ' '); left $1" >&2
    return 1
  fi
  local host group
  for host in "$1"/h-*; do
    for group in $(groups_of "$host"); do rmdir "$group" 2>/dev/null || true; done
  done
  if [ "$2" = yes ]; then rm -f "$1/keeper"; else remove_fleet "$1"; fi
}

# What a keeper that was killed left behind is cleaned up by the next one.
clean_stale() {
  local folder
  {
    grep -hoszE '^(FLEET_MEMBER=.*|ZWRM_MACHINE_DIR=.*/h-[0-9]+/state/machines/.*)' /proc/[0-9]*/environ | tr '\0' '\n' | sed -E 's,/h-[0-9]+/state/machines/.*,,; s,^[A-Z_]*=,,'
    for folder in "${TMPDIR:-/tmp}"/zwrm-fleet.* "$@"; do [ ! -f "$folder/keeper" ] || (cd "$folder" && pwd -P); done
  } | sort -u | while read -r folder; do
    [ -O "$folder" ] && [ -O "$folder/keeper" ] && [ "$(keeper_of "$folder")" = dead ] || continue
    if [ "$folder" = "${FLEET_MEMBER-}" ]; then say "this shell is part of the fleet in $folder, whose keeper is gone; leave it, and run this again to clean up"; continue; fi
    say "cleaning up $folder: its keeper was killed"
    clean "$folder" "$(sed -n 2p "$folder/keeper")" || true
  done
}
