# What the daemon cannot do, tried from where it is (probe.mjs says what is tried). Sourced by ../verify-install.
kernel_facts() {
  local status
  status=$(box cat "/proc/$(main_pid)/status")
  expect "no new privileges" grep -q '^NoNewPrivs:[[:space:]]*1$' <<<"$status"
  expect "a system call filter" grep -q '^Seccomp:[[:space:]]*2$' <<<"$status"
  expect "no capability, nor one to be had" [ "$(grep -c '^Cap[A-Za-z]*:[[:space:]]*0*$' <<<"$status")" = 5 ]
  expect "not root" [ "$(awk '/^Uid:/ { print $2 }' <<<"$status")" = "$(box id -u zwrm)" ]
  echo "no capabilities, no new privileges, seccomp, user zwrm"
}

judge() {
  local said=$1 refused
  refused=$(grep -c '^refused ' <<<"$said")
  echo "$said"
  expect "nothing is allowed" [ "$(grep -c '^ALLOWED ' <<<"$said")" = 0 ]
  expect "everything was tried" [ "$refused" -ge "$2" ]
  echo "$refused tries (connect, read, write, see), each refused"
}

# Without the daemon's filters: what its namespaces alone forbid.
confined_by_namespaces() {
  judge "$(box nsenter -t "$(main_pid)" -a -S "$(box id -u zwrm)" -G "$(box id -g zwrm)" /opt/zwrm/current/bin/node /usr/local/lib/zwrm-verify/probe.mjs namespaces)" 30
}

# The daemon's own unit with another command line: its namespaces, its filters, its state.
confined_by_filters() {
  local probe=/run/systemd/system/zwrmd-probe.service
  shell "sed -e 's|^ExecStart=.*|ExecStart=/opt/zwrm/current/bin/node /usr/local/lib/zwrm-verify/probe.mjs unit|' -e 's/^Type=.*/Type=oneshot/' \
    -e '/^Restart/d' -e '/^ExecReload/d' -e '/^\[Install\]/,\$d' /usr/local/lib/systemd/system/zwrmd.service >$probe && systemctl daemon-reload"
  box systemctl start zwrmd-probe.service
  judge "$(box journalctl -u zwrmd-probe.service -o cat)" 35
  shell "rm $probe && systemctl reset-failed zwrmd-probe.service 2>/dev/null; systemctl daemon-reload"
}
