# Starts that cannot succeed, and disks that are full: one line that says what to do, and no spinning. Sourced by ../verify-install.
STATE=/var/lib/zwrm
# StartLimitBurst= in zwrmd.service.
MOST_STARTS=5

is_state() { [ "$(property ActiveState "${2:-zwrmd.service}")" = "$1" ]; }
here() { shell 'journalctl -n 0 --show-cursor' | sed -n 's/^-- cursor: //p'; }
# said_since CURSOR UNIT [OPTION]...
said_since() { box journalctl -u "$2" -o cat --after-cursor "$1" "${@:3}"; }
# Starts that failed, which are all there are in these checks.
starts() { said_since "$1" zwrmd.service | grep -c 'Main process exited'; }
stop_all() { box systemctl stop zwrmd.socket zwrmd-unix.socket zwrmd.service; box systemctl reset-failed zwrmd.service zwrmd.socket zwrmd-unix.socket; }
start_again() { shell 'systemctl reset-failed zwrmd.service zwrmd.socket zwrmd-unix.socket; systemctl start zwrmd.service' && within 20 healthy; }

# fails_clearly PATTERN: with the cause in place, a start fails once; while clients keep asking, the unit ends as failed after a few more, its port
# closed. Both times its status bears the line.
fails_clearly() {
  local since began took status count line
  since=$(here)
  box systemctl start zwrmd.service
  within 10 is_state failed
  expect "a start fails once and is not tried again ($(starts "$since") starts): $(said_since "$since" zwrmd.service)" [ "$(starts "$since")" = 1 ]
  status=$(box systemctl status --no-pager --full zwrmd.service)
  expect "the line is in the status: $1: $status" grep -qE -- "$1" <<<"$status"
  began=$SECONDS
  (while :; do box curl -s -m 1 http://127.0.0.1:8080/ >/dev/null; sleep 0.2; done) &
  local clients=$!
  within 40 is_state failed zwrmd.socket
  took=$((SECONDS - began))
  status=$(box systemctl status --no-pager --full zwrmd.service)
  count=$(starts "$since")
  sleep 4
  local later
  later=$(starts "$since")
  kill "$clients"
  wait "$clients" 2>/dev/null
  echo "$status"
  expect "it is failed, not $(property ActiveState)" is_state failed
  expect "it gives up after $MOST_STARTS starts (it was $count)" [ "$count" -le $MOST_STARTS ]
  expect "it stays so ($later)" [ "$later" = "$count" ]
  expect "its port is closed" is_state failed zwrmd.socket
  expect "the line is in the status: $1" grep -qE -- "$1" <<<"$status"
  expect "as an error, for journalctl -p err" grep -qE -- "$1" <<<"$(said_since "$since" zwrmd.service -p err)"
  line=$(grep -oE -- "$1.*" <<<"$status" | tail -n 1)
  echo "one start; $count while clients ask, then refused (after $took s); status says: $line"
}

second_instance() {
  local said
  said=$(shell "cd / && ZWRM_SERVER_HOST=127.0.0.1 ZWRM_SERVER_PORT=8099 zwrmd --config $CONFIG 2>&1") && expect "a second one by hand fails" false
  expect "it says who holds it: $said" grep -q "in use by process" <<<"$said"
  stop_all
  shell "cd / && ZWRM_SERVER_HOST=127.0.0.1 ZWRM_SERVER_PORT=8099 setpriv --reuid zwrm --regid zwrm --clear-groups zwrmd --config $CONFIG >/dev/null 2>&1 & echo \$! >/run/verify-other"
  expect "the first one runs" within 10 shell 'curl -fsS -m 2 http://127.0.0.1:8099/v1/health'
  fails_clearly "$STATE is in use by process [0-9]+ on"
  shell 'kill $(cat /run/verify-other)'
  within 10 shell '! kill -0 $(cat /run/verify-other) 2>/dev/null'
  expect "it starts when the other is gone" start_again
}

unreadable_config() {
  stop_all
  box chmod 0600 $CONFIG
  fails_clearly "$CONFIG: the daemon may not read it"
  box chmod 0640 $CONFIG
  expect "it starts again" start_again
}

wrong_key() {
  stop_all
  shell "cp -p $CONFIG /run/verify-config && echo 'levle = \"info\"' >>$CONFIG"
  fails_clearly "$CONFIG:[0-9]+: \[log\] levle: .*\"level\""
  shell "mv /run/verify-config $CONFIG"
  expect "it starts again" start_again
}

damaged_journal() {
  stop_all
  # A digit in the middle of the second line, with good lines of later writes behind it.
  shell "rm -rf /run/verify-journal && cp -a $STATE/journal /run/verify-journal && f=\$(ls $STATE/journal/*.jsonl | head -n 1) && sed -i '2s/\"seq\":2/\"seq\":3/' \$f && chown zwrm:zwrm \$f"
  fails_clearly "[0-9]{20}\.jsonl.*(line|offset|byte)"
  shell "rm -rf $STATE/journal && mv /run/verify-journal $STATE/journal"
  expect "it starts again" start_again
}

# A small disk with the state on it, full to the last byte.
small_disk() {
  stop_all
  expect "a small disk" shell "cp -a $STATE /run/verify-state && mount -t tmpfs -o size=16m none $STATE && cp -a /run/verify-state/. $STATE && chown zwrm:zwrm $STATE && chmod 0700 $STATE"
}
# Never more than the small disk has, and never on another one.
fill_disk() { shell "mountpoint -q $STATE && { dd if=/dev/zero of=$STATE/ballast bs=64k count=256; dd if=/dev/zero of=$STATE/ballast bs=1 count=65536 oflag=append conv=notrunc; } 2>/dev/null; true"; }
empty_disk() { box rm -f $STATE/ballast; }
big_disk() { stop_all; shell "umount $STATE && rm -rf /run/verify-state"; start_again; }

# After a check that failed: the disk, the config, the journal, the drop-ins and the processes are as they were.
mend() {
  stop_all
  shell "pkill -F /run/verify-other; while mountpoint -q $STATE; do umount $STATE; done; rm -rf /run/verify-state /etc/systemd/system/zwrmd*.d
    [ ! -e /run/verify-config ] || cp -p /run/verify-config $CONFIG
    [ ! -e /run/verify-journal ] || { rm -rf $STATE/journal; cp -a /run/verify-journal $STATE/journal; }
    chmod 0640 $CONFIG; systemctl daemon-reload; systemctl enable --quiet zwrmd"
  start_again
} >/dev/null 2>&1

full_disk_running() {
  local said status restarts line
  small_disk
  expect "it starts on the small disk" start_again
  restarts=$(property NRestarts)
  fill_disk
  # The last page may still take some lines.
  said=
  for index in $(seq 200); do
    said=$(register "h-full-$index" -o /dev/stdout --no-fail -w ' %{http_code}' 2>&1)
    grep -q ' 503$' <<<"$said" && break
  done
  expect "a change is refused: $said" grep -q 'storage_failed.* 503$' <<<"$said"
  expect "reads go on" shell 'curl -fsS -m 5 http://127.0.0.1:8080/v1/hosts | grep -q h-1'
  status=$(box systemctl status --no-pager --full zwrmd.service)
  echo "$status"
  line=$(shell "journalctl -u zwrmd.service -o cat -p warning | grep -iE 'ENOSPC|no space|disk|room' | tail -n 1")
  expect "the log says so, as a warning or an error" [ -n "$line" ]
  expect "it was not restarted" [ "$(property NRestarts)" = "$restarts" ]
  empty_disk
  expect "it takes changes when there is room" within 10 register h-after-full
  big_disk
  echo "changes answer 503 storage_failed, reads go on, no restart; the log says: ${line:25}"
}

full_disk_start() {
  local said
  small_disk
  fill_disk
  expect "a journal that is there starts, and is read" start_again
  for index in $(seq 200); do
    said=$(register "h-full-$index" -o /dev/stdout --no-fail -w ' %{http_code}' 2>&1)
    grep -q ' 503$' <<<"$said" && break
  done
  expect "changes are refused: $said" grep -q 'storage_failed.* 503$' <<<"$said"
  expect "reads go on" shell 'curl -fsS -m 5 http://127.0.0.1:8080/v1/hosts | grep -q h-1'
  stop_all
  # Without its lock file, as on a new disk, there is something that must be written.
  shell "rm -f $STATE/lock"
  fill_disk
  fails_clearly 'ENOSPC.*the disk is full; make room'
  empty_disk
  expect "it starts when there is room" start_again
  expect "and back" big_disk
}

port_in_use() {
  local since status line
  stop_all
  since=$(here)
  shell '/opt/zwrm/current/bin/node -e "require(\"node:http\").createServer((req, res) => res.end()).listen(8080, \"::\")" >/dev/null 2>&1 & echo $! >/run/verify-other'
  within 5 shell 'curl -fsS -m 1 http://127.0.0.1:8080/'
  box systemctl start zwrmd.service 2>/dev/null && expect "the start fails" false
  sleep 3
  status=$(box systemctl status --no-pager --full zwrmd.socket zwrmd.service)
  echo "$status"
  line=$(grep -E 'zwrmd.socket: Failed to (create listening socket|listen)|Address already in use' <<<"$status" | tail -n 1)
  expect "the status says why" grep -q 'Address already in use' <<<"$status"
  expect "and what to do" grep -q 'systemctl edit zwrmd.socket' <<<"$status"
  expect "the daemon was not started" [ "$(starts "$since")" = 0 ]
  expect "one try" [ "$(said_since "$since" zwrmd.socket | grep -c 'Failed to create listening socket')" = 1 ]
  shell 'kill $(cat /run/verify-other)'
  expect "it starts when the port is free" start_again
  echo "the start fails once; status says: $(sed 's/.*systemd\[1\]: //' <<<"$line")"
}

# The templates.
drop_in() { box install -D -m 0644 "/opt/zwrm/current/scripts/systemd/$1" "/etc/systemd/system/zwrmd.service.d/$1" && box systemctl daemon-reload; }
drop_out() { box rm -r /etc/systemd/system/zwrmd.service.d && box systemctl daemon-reload; }

own_sockets() {
  local figure said
  stop_all
  drop_in own-sockets.conf
  shell 'systemctl disable --quiet --now zwrmd.socket zwrmd-unix.socket && systemctl restart zwrmd.service'
  expect "it serves" within 15 healthy
  said=$(box systemd-analyze verify zwrmd.service 2>&1 >/dev/null)
  expect "systemd-analyze verify is silent: $said" [ -z "$said" ]
  figure=$(box systemd-analyze security zwrmd.service --no-pager | tail -n 1 | grep -o '[0-9]\+\.[0-9]' | head -n 1)
  drop_out
  box systemctl stop zwrmd.service
  box systemctl start zwrmd.service
  within 20 is_state failed
  said=$(box systemctl status --no-pager --full zwrmd.service)
  expect "without its sockets and without the drop-in it says what to do: $said" grep -q 'systemctl enable --now zwrmd.socket' <<<"$said"
  shell 'systemctl enable --quiet zwrmd.socket zwrmd-unix.socket'
  expect "back to socket activation" start_again
  echo "serves on its own sockets, at $figure"
}

images_disk() {
  local folder=/srv/zwrm-images
  shell "mkdir -p $folder && mount -t tmpfs -o size=16m none $folder && install -d -o zwrm -g zwrm -m 0700 $folder && chown zwrm:zwrm $folder"
  shell "cp -p $CONFIG /run/verify-config && sed -i 's|^#images_dir = .*|images_dir = \"$folder\"|' $CONFIG"
  drop_in images-disk.conf
  box systemctl reset-failed zwrmd.service
  box systemctl restart zwrmd.service
  expect "healthy" within 15 healthy
  expect "an image goes in" push_image 'an image on another disk'
  expect "and lies there" shell "find $folder -type f -size 24c | grep -q ."
  drop_out
  shell "mv /run/verify-config $CONFIG && systemctl reset-failed zwrmd.service && systemctl restart zwrmd.service"
  expect "and back" within 15 healthy
  # The journal still knows the image; its file goes where the others are, so that nothing is missing later.
  shell "cp -a $folder/sha256/. $STATE/images/sha256/ && umount $folder"
  echo "an image in $folder"
}
