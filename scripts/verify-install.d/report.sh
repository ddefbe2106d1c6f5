# One line a check: ok, FAILED or skipped, its name and its figure; and the sum at the end. Sourced by ../verify-install.
SUITE=
# What a check returns when the machine does not have what it would look at.
SKIP=77

report() { printf '%s %s: %s\n' "$1" "${SUITE:+$SUITE, }$2" "$3" | tee -a "$WORK/lines"; }
ok() { report ok "$@"; }
failed() { report FAILED "$@"; }
skipped() { report skipped "$@"; }
count() { grep -c "^$1 " "$WORK/lines"; }

summary() {
  echo "$(count ok) passed, $(count FAILED) failed, $(count skipped) skipped"
  [ "$(count FAILED)" = 0 ]
}

# check NAME FUNCTION: its last line of output is the figure; when it fails, all of it is shown,
# and what it left behind is put right for the next one.
check() {
  local output status
  output=$("$2" 2>&1)
  status=$?
  case $status in
    0) ok "$1" "$(tail -n 1 <<<"$output")" ;;
    "$SKIP") skipped "$1" "$(tail -n 1 <<<"$output")" ;;
    *)
      failed "$1" "$(tail -n 1 <<<"$output")"
      sed "s/^/    $SUITE: /" <<<"$output"
      mend
      ;;
  esac
}

# expect WHAT COMMAND...: the command succeeds, or the check is over and WHAT was not so.
expect() {
  local what=$1
  shift
  "$@" >/dev/null || { echo "not so: $what"; exit 1; }
}

# within SECONDS COMMAND...: tries until the command succeeds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}

now_ms() { date +%s%3N; }
