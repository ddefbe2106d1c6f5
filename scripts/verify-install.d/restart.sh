# The daemon ends, by order or by force, and is back; nobody is refused meanwhile and nothing is lost. Sourced by ../verify-install.
RESTARTS=20
REQUESTS=10000

restarts_refuse_nobody() {
  local result
  shell 'rm -f /run/verify-done'
  box /opt/zwrm/current/bin/node /usr/local/lib/zwrm-verify/load.mjs $REQUESTS /run/verify-done >"$WORK/load.json" &
  for _ in $(seq $RESTARTS); do
    # So many restarts in so short a time are no sign of trouble here.
    box systemctl reset-failed zwrmd.service
    expect "systemctl restart" box systemctl restart zwrmd.service
    sleep 0.7
  done
  box touch /run/verify-done
  wait $!
  result=$(cat "$WORK/load.json")
  echo "$result"
  expect "$REQUESTS requests" [ "$(number requests "$result")" -ge $REQUESTS ]
  expect "none refused: $result" [ "$(number refused "$result")" = 0 ]
  expect "none reset that was not in flight: $result" [ "$(number reset "$result")" = 0 ]
  expect "none answered with anything but 200, or 503 from a daemon that stops" [ "$(number other "$result")" = 0 ]
  echo "$(number requests "$result") requests, $RESTARTS restarts: 0 refused, 0 reset, $(number stopping "$result") times 503, $(number in_flight_on_kept "$result") in flight on kept connections asked again, slowest $(number slowest_ms "$result") ms"
}

number() { grep -o "\"$1\":[0-9]*" <<<"$2" | grep -o '[0-9]*$'; }

is_new_process() { local pid; pid=$(main_pid); [ "$pid" != "$1" ] && [ "$pid" != 0 ] && healthy; }

comes_back_from_sigkill() {
  local pid before began
  expect "something to lose" register h-2
  pid=$(main_pid)
  before=$(state_facts)
  began=$(now_ms)
  box kill -KILL "$pid"
  expect "it is back" within 15 is_new_process "$pid"
  began=$(($(now_ms) - began))
  expect "state whole: $before / $(state_facts)" [ "$(state_facts)" = "$before" ]
  expect "the journal verifies" shell 'zwrmd journal verify --config /etc/zwrm/config.toml'
  echo "back after $began ms, state whole"
}

# What must not change: hosts with their modes, images, the cluster's identity.
state_facts() {
  shell 'curl -fsS http://127.0.0.1:8080/v1/hosts | grep -o "\"\(id\|mode\)\":\"[^\"]*\""; curl -fsS http://127.0.0.1:8080/v1/images | grep -o "sha256:[0-9a-f]*"; curl -fsS http://127.0.0.1:8080/v1/status | grep -o "\"cluster_id\":\"[^\"]*\""' | tr '\n' ' '
}

head_now() { box zwrmd journal verify --config /etc/zwrm/config.toml | sed -n 's/^head //p'; }

watchdog_ends_a_hang() {
  local pid began
  has_notify || { echo "systemd $(systemd_version) has no OpenFile=, so no watchdog (253 and later)"; exit "$SKIP"; }
  pid=$(main_pid)
  began=$(now_ms)
  box kill -STOP "$pid"
  expect "it is ended and back" within 60 is_new_process "$pid"
  expect "by the watchdog" shell "journalctl -u zwrmd -o cat | grep -q 'Watchdog timeout'"
  echo "ended by the watchdog and back after $((($(now_ms) - began) / 1000)) s"
}

survives_reexec() {
  local pid
  has_notify || { echo "systemd $(systemd_version): no watchdog to keep fed"; exit "$SKIP"; }
  pid=$(main_pid)
  expect "daemon-reexec" box systemctl daemon-reexec
  # Longer than WatchdogSec.
  sleep 23
  expect "it is the same process" [ "$(main_pid)" = "$pid" ]
  expect "healthy" healthy
  echo "the same process 23 s later: the watchdog is still fed"
}
