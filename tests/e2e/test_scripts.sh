#!/usr/bin/env bash
# Key scripts with golden screens: screens/NAME.keys is run at each of its sizes in a pseudo terminal, and every .txt file
# that it writes (:save-display, :w) must equal screens/NAME.SIZE.PART. In the first lines of a script may stand
#   # sizes: 80x24 120x40       # file: scene.json (the default; in screens/)      # options: --sixel (of pty)
#   # environment: TERM=linux   # before: OTHER.keys (run first, and killed once there is a journal)
#   # sed: s/[0-9]+/N/          (what differs from run to run)
# `make golden-screens` writes them anew (read the diff!); NAME... as arguments takes only these.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
screens=$root/tests/e2e/screens pty=$BUILD/tests/e2e/pty program=$BUILD/tests/e2e/couplet-used update=${GOLDEN_UPDATE:-}
[ -n "$update" ] && [ -n "${CI:-}" ] && echo 'golden screens are never written in CI' && exit 2

header() { sed -nE "s/^# $2: *//p" "$1"; }

run_one() { # run_one NAME SIZE: what it showed is in $work/NAME.SIZE/
    local name=$1 size=$2 script=$screens/$1.keys folder=$work/$1.$2 file before
    mkdir -p "$folder/home" && cd "$folder" || return
    cp "$screens"/*.json "$screens"/*.sh .
    # a screen is of a layout that the core has, so that it is the same every time
    { sed '/^:save-display/i :wait synced' "$script" && printf '\n:q!\n'; } >"$name.keys"
    file=$(header "$script" file) before=$(header "$script" before)
    export TERM=xterm-256color HOME=$folder/home XDG_STATE_HOME=$folder/state XDG_CONFIG_HOME=$folder/config XDG_DATA_HOME=$folder/data
    # shellcheck disable=SC2046
    export $(header "$script" environment) COUPLET_USED=$folder/used
    [ -z "$before" ] || "$pty" "$size" --kill 'state/couplet/journal/*.json' "$program" --keys "$screens/$before" "${file:-scene.json}" >said 2>&1
    # shellcheck disable=SC2046
    "$pty" "$size" $(header "$script" options) "$program" --threads 1 --keys "$name.keys" "${file:-scene.json}" >>said 2>&1
    echo $? >status
    # times differ from run to run, and what is left free beside them with their digits
    for file in ./*.txt; do
        [ -f "$file" ] && sed -i -E -e 's/[0-9.]+ [kMG]B\/s/N B\/s/g' -e 's/[0-9]+\.[0-9] s/N.N s/g' -e '/N\.N s|N B\/s/{s/ {2,}/  /g;s/─{2,}/──/g}' \
            -e 's/[A-Z][a-z][a-z] [0-9]{2} [0-9]{2}:[0-9]{2}/Mon DD HH:MM/' -e "$(header "$script" sed)" "$file"
    done
}
export -f run_one header
export work screens pty program

names=("$@")
[ $# = 0 ] && for script in "$screens"/*.keys; do names+=("$(basename "$script" .keys)"); done
jobs=()
for name in "${names[@]}"; do
    for size in $(header "$screens/$name.keys" sizes); do jobs+=("$name $size"); done
done
# shellcheck disable=SC2016
printf '%s\n' "${jobs[@]}" | xargs -P "$(($(nproc) + 1))" -L 1 bash -c 'run_one "$0" "$1"'

equal_screens() { # equal_screens NAME SIZE
    local folder=$work/$1.$2 shown golden fine=true
    same "$(cat "$folder/status")" 0 || { cat "$folder/said" && return 1; }
    ls "$folder"/*.txt >/dev/null 2>&1 || { echo '      the script shows nothing' && return 1; }
    for shown in "$folder"/*.txt; do
        golden=$screens/$1.$2.$(basename "$shown")
        [ -n "$update" ] && cp "$shown" "$golden"
        diff -u "$golden" "$shown" >"$said" 2>&1 || { sed 's/^/      /' "$said" && fine=false; }
    done
    $fine
}
[ -n "$update" ] && [ $# = 0 ] && rm -f "$screens"/*.txt
for job in "${jobs[@]}"; do
    # shellcheck disable=SC2086
    check "$job" equal_screens $job
done
every_screen_has_a_script() {
    local golden left=''
    for golden in "$screens"/*.txt; do
        [ -f "$work/$(basename "$golden" | cut -d. -f1,2)/$(basename "$golden" | cut -d. -f3-)" ] || left+=" ${golden##*/}"
    done
    [ -z "$left" ] || { echo "      no script makes$left" && return 1; }
}
# Counts are looked up nowhere; a stop needs a shell to come back from, which test_signals.sh has.
elsewhere='everywhere 1-9
everywhere Ctrl-Z'
everything_is_used() {
    local left
    left=$(COUPLET_USED=list "$program" | sort -u | grep -vxF -e "$elsewhere" | comm -23 - <(cat "$work"/*/used | sort -u))
    [ -z "$left" ] || { echo 'no script uses:' && echo "$left" && return 1; } >"$said"
}
[ $# = 0 ] && check 'every golden screen is made by a script' every_screen_has_a_script
[ $# = 0 ] && check 'every key and every command is used by a script' everything_is_used
finish
