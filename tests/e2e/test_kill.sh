#!/usr/bin/env bash
# SIGKILL while edits are made and while they are saved; `make kill KILLS=200` takes more moments, and minds how long an edit
# may have been on the screen that is gone.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
killed() { python3 "$tools/kill.py" "$COUPLET" "$@" >"$said" 2>&1 && cat "$said"; }
check "SIGKILL at ${KILLS:-8} moments: files are whole, and the next session has the edits" killed "${KILLS:-8}" "${SEED:-1}" ${BOUND_MS:+"$BOUND_MS"}
check 'no process is left' no_strays
finish
