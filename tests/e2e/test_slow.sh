#!/usr/bin/env bash
# A line of 1 Mbit/s while previews come: keys go before pictures.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
scene slow.json 1000
slow() { python3 "$tools/slow.py" "$COUPLET" slow.json >"$said" 2>&1 && cat "$said"; }
check 'over 1 Mbit/s a key waits for few bytes, and previews come' slow
check 'no process is left' no_strays
finish
