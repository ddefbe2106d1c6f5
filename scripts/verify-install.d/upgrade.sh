# install.sh again, a newer version, back, away and in again: the state stays what it was. Sourced by ../verify-install.
version_now() { shell 'curl -fsS -m 5 http://127.0.0.1:8080/' | sed 's/.*"version":"\([^"]*\)".*/\1/'; }

# The same program under a higher version.
make_newer() {
  shell "rm -rf /root/newer && cp -a /root/release /root/newer && sed -i 's/^  \"version\": \".*\"/  \"version\": \"99.0.0-verify\"/' /root/newer/package.json"
}

# kept FACTS HEAD: the state is as before, and the journal's past unaltered.
kept() {
  expect "the state is what it was: $1 / $(state_facts)" [ "$(state_facts)" = "$1" ]
  expect "the journal goes on from the same head" box zwrmd journal verify --head "$2" --config "$CONFIG"
}

install_twice() {
  local pid config said
  pid=$(main_pid)
  config=$(box sha256sum "$CONFIG")
  said=$(install_tree /root/release)
  expect "it says that it is there: $said" grep -q 'is installed already' <<<"$said"
  expect "nothing was restarted" [ "$(main_pid)" = "$pid" ]
  expect "the config is as it was" [ "$(box sha256sum "$CONFIG")" = "$config" ]
  echo "nothing changed, nothing restarted"
}

upgrade_running() {
  local facts head config old said
  old=$(version_now)
  facts=$(state_facts)
  head=$(head_now)
  config=$(box sha256sum "$CONFIG")
  make_newer
  # Without --node: the one that was brought along comes along.
  said=$(box /root/newer/scripts/install.sh) || expect "the upgrade: $said" false
  expect "the new version runs" [ "$(version_now)" = 99.0.0-verify ]
  expect "the old one is kept" [ "$(box readlink /opt/zwrm/previous)" = "$old" ]
  expect "the config is as it was" [ "$(box sha256sum "$CONFIG")" = "$config" ]
  kept "$facts" "$head"
  echo "$old to 99.0.0-verify, restarted, state whole"
}

rolls_back() {
  local facts head old said
  old=$(box readlink /opt/zwrm/previous)
  facts=$(state_facts)
  head=$(head_now)
  said=$(box /opt/zwrm/current/scripts/install.sh --rollback) || expect "the rollback: $said" false
  expect "the version before runs" [ "$(version_now)" = "$old" ]
  kept "$facts" "$head"
  # A config that the other version does not take stops the way back before anything is touched.
  shell "cp -p $CONFIG /run/verify-config && echo 'levle = 1' >>$CONFIG"
  box /opt/zwrm/current/scripts/install.sh --rollback 2>/dev/null && expect "not with a config that it does not take" false
  shell "mv /run/verify-config $CONFIG"
  expect "nothing was changed" [ "$(version_now)$(box readlink /opt/zwrm/current)" = "$old$old" ]
  echo "99.0.0-verify to $old, restarted, state whole"
}

upgrade_stopped() {
  local facts head
  facts=$(state_facts)
  head=$(head_now)
  stop_all
  expect "the upgrade" box /root/newer/scripts/install.sh
  expect "nothing was started" shell '! systemctl is-active --quiet zwrmd.service zwrmd.socket zwrmd-unix.socket'
  expect "it starts" start_again
  kept "$facts" "$head"
  echo "it stayed stopped; started by hand it is $(version_now), state whole"
}

uninstall_and_back() {
  local facts head config
  facts=$(state_facts)
  head=$(head_now)
  config=$(box sha256sum "$CONFIG")
  expect "uninstall.sh" box /opt/zwrm/current/scripts/uninstall.sh
  expect "nothing runs, nothing is left but data" shell '! systemctl is-active --quiet zwrmd.service zwrmd.socket && [ ! -e /opt/zwrm ] && [ ! -e /usr/local/bin/zwrmd ] && [ -z "$(systemctl list-unit-files --no-legend "zwrmd*")" ] && [ -z "$(find /etc/systemd/system -name "zwrmd*")" ]'
  expect "uninstall.sh again, from the release" box /root/release/scripts/uninstall.sh
  expect "the config is as it was" [ "$(box sha256sum "$CONFIG")" = "$config" ]
  expect "install again" install_tree /root/release
  expect "nothing was started" shell '! systemctl is-active --quiet zwrmd.service zwrmd.socket zwrmd-unix.socket'
  expect "enable --now" box systemctl enable --quiet --now zwrmd
  expect "healthy" within 15 healthy
  expect "the config is still as it was" [ "$(box sha256sum "$CONFIG")" = "$config" ]
  kept "$facts" "$head"
  echo "state and config whole, $(box find "$STATE" -type f | wc -l) files in $STATE"
}
