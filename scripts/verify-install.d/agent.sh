# The host agent: on a host of its own and beside the daemon, upgraded and rolled back in turn with it; a machine goes on through all of it. Sourced by ../verify-install.
AGENT_CONFIG=/etc/zwrm/agent.toml
AGENT_APP=verify-agent
AGENT_REGION=verify

agent_pid() { box systemctl show -P MainPID zwrm-agent.service; }
agent_sum() { box sha256sum $AGENT_CONFIG; }
agent_host() { box sed -n 's/^host_id = "\(.*\)"$/\1/p' $AGENT_CONFIG; }
host_says() { shell "curl -fsS -m 5 http://127.0.0.1:8080/v1/hosts/$(agent_host)" | grep -qF "$1"; }
agent_reports() { host_says "\"agent_version\":\"$1\"" && host_says '"health":"online"'; }
released() { box sed -n 's/^  "version": "\(.*\)",$/\1/p' /root/release/package.json; }
# The command of [runtime] below, which nothing else in the container runs.
machine_pid() { box pgrep -f '^/bin/sleep 1000$'; }
machine_runs() { shell "zwrm machines --app $AGENT_APP --state running" | grep -c '^m_'; }
# What the daemon's installation must leave as it is: the agent, its machine, its config, and the folder that the two share.
agent_note() { shell 'cat >/run/verify-agent' <<<"$(agent_facts)"; }
agent_facts() { echo "$(agent_pid) $(machine_pid) $(agent_sum) $(box stat -c '%a %U:%G' /etc/zwrm)"; }
agent_as_noted() { [ "$(agent_facts)" = "$(box cat /run/verify-agent)" ]; }

# agent_changes VERSION MACHINE CONFIG DAEMON: this version is what the daemon hears, and nothing but the agent is another than before.
agent_changes() {
  expect "version $1 is heard" within 10 agent_reports "$1"
  expect "the machine goes on: $2 / $(machine_pid)" [ "$(machine_pid)" = "$2" ]
  expect "it is one, and running: $(shell "zwrm machines --app $AGENT_APP")" [ "$(machine_runs)" = 1 ]
  expect "the config is as it was" [ "$(agent_sum)" = "$3" ]
  expect "the daemon is as it was" [ "$(daemon_facts)" = "$4" ]
}
daemon_facts() { echo "$(main_pid) $(version_now) $(box readlink /opt/zwrm/current)"; }

agent_alone() {
  local said
  said=$(install_tree /root/release --agent) || expect "install.sh --agent ends well: $said" false
  expect "it says what to do: $said" grep -q "once control_plane_url and license_key are set in $AGENT_CONFIG: systemctl enable --now zwrm-agent" <<<"$said"
  expect "nothing of the daemon is there" shell '! getent passwd zwrm && [ ! -e /opt/zwrm ] && [ ! -e /usr/local/bin/zwrmd ] && [ -z "$(systemctl list-unit-files --no-legend "zwrmd*")" ]'
  expect "nothing runs" shell '! systemctl is-active --quiet zwrm-agent.service'
  expect "the config is root's alone" [ "$(box stat -c '%a %U:%G' $AGENT_CONFIG)" = '600 root:root' ]
  expect "the config says everything and sets nothing" shell "grep -q '^#license_key' $AGENT_CONFIG && ! grep -q '^[a-z]' $AGENT_CONFIG"
  said=$(box systemd-analyze verify zwrm-agent.service 2>&1 >/dev/null)
  expect "systemd-analyze verify is silent: $said" [ -z "$said" ]
  shell "cp -p $AGENT_CONFIG /run/verify-agent.toml && echo 'levle = 1' >>$AGENT_CONFIG"
  said=$(install_tree /root/release --agent 2>&1) && expect "not over a config with a wrong key" false
  shell "mv /run/verify-agent.toml $AGENT_CONFIG"
  expect "it says which: $said" grep -q 'levle' <<<"$said"
  echo "config 0600 root:root, no user, no zwrmd, nothing started; systemd-analyze verify is silent"
}

agent_joins() {
  local said
  shell "sed -i -e 's|^#control_plane_url = .*|control_plane_url = \"http://127.0.0.1:8080\"|' -e 's|^#license_key = .*|license_key = \"$LICENCE_KEY\"|' \
    -e 's|^#region = .*|region = \"$AGENT_REGION\"|' -e 's|^#command = .*|command = [\"/bin/sleep\", \"1000\"]|' $AGENT_CONFIG"
  said=$(box zwrm-agent --check-config --config $AGENT_CONFIG 2>&1) || expect "the config is good: $said" false
  expect "enable --now" box systemctl enable --quiet --now zwrm-agent
  expect "its host is online" within 15 agent_reports "$(released)"
  expect "zwrm host list has it" shell "zwrm host list | grep -qF '$(agent_host)'"
  expect "the config is still root's alone" [ "$(box stat -c '%a %U:%G' $AGENT_CONFIG)" = '600 root:root' ]
  expect "their folder is still the daemon's to read" [ "$(box stat -c '%a %U:%G' /etc/zwrm)" = '750 root:zwrm' ]
  said=$(shell "echo an image of a machine >/run/verify-image && zwrm deploy $AGENT_APP --image /run/verify-image --region $AGENT_REGION --memory 64 2>&1") || expect "a machine runs: $said" false
  expect "it is a process of the unit, in a group of its own" shell "grep -qE '/zwrm-agent.service/zwrm-[0-9a-f]{12}-m_' /proc/$(machine_pid)/cgroup"
  agent_note
  echo "registered as $(agent_host), and runs a machine"
}

agent_twice() {
  local said
  said=$(install_tree /root/release --agent)
  expect "it says that it is there: $said" grep -q 'zwrm-agent .* is installed already' <<<"$said"
  expect "nothing was restarted, the config is as it was" agent_as_noted
  echo "nothing changed, nothing restarted"
}

agent_upgrade() {
  local pid machine config daemon old said
  expect "the daemon's upgrade left the agent and its machine alone" agent_as_noted
  pid=$(agent_pid) machine=$(machine_pid) config=$(agent_sum) daemon=$(daemon_facts) old=$(released)
  # Without --node: the one that was brought along comes along.
  said=$(box /root/newer/scripts/install.sh --agent 2>&1) || expect "the upgrade: $said" false
  agent_changes 99.0.0-verify "$machine" "$config" "$daemon"
  expect "it was restarted" [ "$(agent_pid)" != "$pid" ]
  expect "the old one is kept" [ "$(box readlink /opt/zwrm-agent/previous)" = "$old" ]
  agent_note
  echo "$old to 99.0.0-verify, restarted; the machine is the same process, $machine"
}

# The same program under a version higher still, which ends at once.
make_broken() {
  shell "rm -rf /root/broken && cp -a /root/newer /root/broken && sed -i 's/^  \"version\": \".*\"/  \"version\": \"99.1.0-broken\"/' /root/broken/package.json && \
    sed -i '2i if (process.argv[2] === \"--config\") process.exit(1);' /root/broken/dist/zwrm-agent.js"
}

agent_rollback() {
  local machine daemon config said
  expect "the daemon's rollback left the agent and its machine alone" agent_as_noted
  machine=$(machine_pid) config=$(agent_sum) daemon=$(daemon_facts)
  make_broken
  said=$(box /root/broken/scripts/install.sh --agent 2>&1) && expect "install.sh --agent says that it does not run: $said" false
  expect "it says how to go back: $said" grep -q ': /opt/zwrm-agent/current/scripts/install.sh --agent --rollback$' <<<"$said"
  expect "it is the broken one" [ "$(box readlink /opt/zwrm-agent/current)" = 99.1.0-broken ]
  said=$(box /opt/zwrm-agent/current/scripts/install.sh --agent --rollback 2>&1) || expect "the rollback: $said" false
  agent_changes 99.0.0-verify "$machine" "$config" "$daemon"
  echo "back to 99.0.0-verify, which runs; the machine is the same process"
}

agent_upgrade_stopped() {
  local machine daemon config said
  machine=$(machine_pid) config=$(agent_sum) daemon=$(daemon_facts)
  box systemctl stop zwrm-agent
  said=$(box /root/release/scripts/install.sh --agent 2>&1) || expect "the upgrade: $said" false
  expect "nothing was started" shell '! systemctl is-active --quiet zwrm-agent.service'
  expect "it starts" box systemctl start zwrm-agent
  agent_changes "$(released)" "$machine" "$config" "$daemon"
  agent_note
  echo "it stayed stopped; started by hand it is $(released), with the same machine"
}

agent_uninstall_and_back() {
  local machine daemon config said
  expect "the daemon's uninstall left the agent and its machine alone" agent_as_noted
  machine=$(machine_pid) config=$(agent_sum) daemon=$(daemon_facts)
  said=$(box /opt/zwrm-agent/current/scripts/uninstall.sh --agent 2>&1) || expect "uninstall.sh --agent: $said" false
  expect "nothing runs, nothing is left but data" shell '! systemctl is-active --quiet zwrm-agent.service && [ ! -e /opt/zwrm-agent ] && [ ! -L /usr/local/bin/zwrm-agent ] && [ -z "$(systemctl list-unit-files --no-legend "zwrm-agent*")" ] && [ -z "$(find /etc/systemd/system -name "zwrm-agent*")" ]'
  expect "the config is as it was" [ "$(agent_sum)" = "$config" ]
  expect "the machine goes on" [ "$(machine_pid)" = "$machine" ]
  expect "the daemon is as it was" [ "$(daemon_facts)" = "$daemon" ]
  expect "healthy" healthy
  expect "uninstall.sh --agent again, from the release" box /root/release/scripts/uninstall.sh --agent
  expect "install again" install_tree /root/release --agent
  expect "nothing was started" shell '! systemctl is-active --quiet zwrm-agent.service'
  expect "enable --now" box systemctl enable --quiet --now zwrm-agent
  agent_changes "$(released)" "$machine" "$config" "$daemon"
  echo "state, config, daemon and machine whole; the agent that came back found the same process"
}
