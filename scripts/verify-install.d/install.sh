# A new machine: what install.sh leaves, what the units are worth, and that the daemon answers. Sourced by ../verify-install.
CONFIG=/etc/zwrm/config.toml

# install_tree TREE [OPTION]...
install_tree() {
  local tree=$1
  shift
  [ "$SUITE" = trixie ] || set -- "$@" --node /opt/node/bin/node
  box "$tree/scripts/install.sh" "$@"
}

install_new() {
  local refused=''
  if [ "$SUITE" != trixie ]; then
    refused=$(box /root/release/scripts/install.sh 2>&1) && expect "a machine without Node is told so" false
    expect "it says what to do: $refused" grep -q -- '--node PATH' <<<"$refused"
    refused="; without --node it says: ${refused#install.sh: }"
  fi
  expect "install.sh ends well" install_tree /root/release
  expect "nothing runs" shell '! systemctl is-active --quiet zwrmd.service zwrmd.socket zwrmd-unix.socket'
  expect "the config is root's and the group's" [ "$(box stat -c '%a %U:%G' $CONFIG)" = '640 root:zwrm' ]
  expect "the config says everything and sets nothing" shell "grep -q '^#data_dir' $CONFIG && ! grep -q '^[a-z]' $CONFIG"
  expect "the user owns no shell" shell 'getent passwd zwrm | grep -q nologin'
  # The checks need a licence.
  shell "sed -i 's/^#key_hashes = .*/key_hashes = [\"$LICENCE_HASH\"]/' $CONFIG"
  expect "the config is good" box zwrmd --check-config --config $CONFIG
  echo "node $(box /opt/zwrm/current/bin/node --version), systemd $(systemd_version), config 0640 root:zwrm, nothing started$refused"
}

systemd_version() { box systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p'; }
has_notify() { [ "$(systemd_version)" -ge 253 ]; }

units_are_silent() {
  local said units='zwrmd.service zwrmd.socket zwrmd-unix.socket'
  # shellcheck disable=SC2086
  said=$(box systemd-analyze verify $units 2>&1 >/dev/null)
  expect "nothing on stderr: $said" [ -z "$said" ]
  echo "silent, on systemd $(systemd_version)"
}

healthy() { shell 'curl -fsS -m 2 http://127.0.0.1:8080/v1/health | grep -q healthy'; }
main_pid() { box systemctl show -P MainPID zwrmd.service; }
property() { box systemctl show -P "$1" "${2:-zwrmd.service}"; }

start_all() {
  local began
  began=$(now_ms)
  expect "enable --now" box systemctl enable --quiet --now zwrmd
  expect "healthy" within 15 healthy
  expect "it is enabled with its sockets" box systemctl is-enabled zwrmd.service zwrmd.socket zwrmd-unix.socket
  echo "healthy after $(($(now_ms) - began)) ms, Type=$(property Type)"
}

score() {
  local line figure
  line=$(box systemd-analyze security zwrmd.service --no-pager | tail -n 1)
  figure=$(grep -o '[0-9]\+\.[0-9]' <<<"$line" | head -n 1)
  expect "0.3 or better: $line" awk "BEGIN { exit !($figure <= 0.3) }"
  echo "$figure of the running unit"
}

serves() {
  local socket=/run/zwrm/zwrmd.sock
  expect "IPv4" healthy
  expect "IPv6" shell 'curl -fsS -m 5 -g http://[::1]:8080/v1/health'
  expect "the unix socket, as root" shell "curl -fsS -m 5 --unix-socket $socket http://localhost/v1/auth/whoami"
  expect "the unix socket, as the group" shell "setpriv --reuid zwrm --regid zwrm --clear-groups curl -fsS -m 5 --unix-socket $socket http://localhost/v1/auth/whoami"
  expect "not the unix socket, as anyone" shell "! setpriv --reuid nobody --regid nogroup --clear-groups curl -fsS -m 5 --unix-socket $socket http://localhost/ 2>/dev/null"
  expect "an agent registers" register h-1
  expect "an image is pushed" push_image 'the first image'
  expect "zwrm on its path" shell 'zwrm host list | grep -q h-1'
  expect "zwrm over the unix socket" shell "zwrm --api-url unix:$socket status"
  echo "127.0.0.1, [::1], $socket for root and the group zwrm only; zwrm host list"
}

# register ID [CURL OPTION]...
register() {
  local id=$1
  shift
  box curl -fsS -m 10 "$@" -H "Authorization: Bearer $LICENCE_HASH" -H 'Content-Type: application/json' \
    -d "{\"host_id\":\"$id\",\"hostname\":\"$id\",\"capacity\":{\"cpus\":8,\"memory_mb\":16384}}" http://127.0.0.1:8080/v1/internal/hosts/register
}

push_image() {
  local digest
  digest=$(printf %s "$1" | sha256sum | cut -d ' ' -f 1)
  box curl -fsS -m 10 -X PUT -H 'Content-Type: application/octet-stream' --data-binary "$1" "http://127.0.0.1:8080/v1/images/sha256:$digest?app_id=verify"
}

reloads() {
  local pid
  pid=$(main_pid)
  expect "systemctl reload" box systemctl reload zwrmd
  expect "it says so" within 5 shell 'journalctl -u zwrmd -o cat | grep -q "INFO reloaded"'
  expect "it is the same process" [ "$(main_pid)" = "$pid" ]
  echo "SIGHUP, the same process"
}
