# shellcheck shell=bash
# lib.sh: what the tests in terminals share. Sourced; each test works in an empty folder of its own, with a home of its own.
#   check NAME COMMAND...          counts one test: ok if the command succeeds
#   in_tmux SIZE FILE... <<STEPS   runs the editor on FILE in tmux; the screen at the end is in $screen
#   in_xterm SIZE FILE... <<STEPS  the same in xterm; bytes and times are in $record, $timing and $log
# Both take options of the tools first: in_tmux 80x24 --ansi -- FILE. What is worth looking at is kept in $keep.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${BUILD:=$root/build/plain}"
: "${COUPLET:=$BUILD/couplet}"
case $COUPLET in /*) ;; *) COUPLET=$PWD/$COUPLET ;; esac
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
export COUPLET
tools=$root/tests/e2e pngdiff=$BUILD/tests/e2e/pngdiff keep=$BUILD/e2e
mkdir -p "$keep"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset NO_COLOR COLORTERM COUPLET_BACKEND_DIR LC_ALL LC_CTYPE LC_MESSAGES LANGUAGE OMP_NUM_THREADS TMUX
export LANG=C.UTF-8 HOME=$work/home XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config XDG_DATA_HOME=$work/data
export TMPDIR=$work/tmp
mkdir home tmp
# The mark by which processes that a test left behind are found.
export COUPLET_TEST_MARK=$work
passed=0 failed=0
said=$work/.said screen=$work/.screen record=$work/.record timing=$work/.timing log=$work/.log

check() {
    local name=$1
    shift
    if "$@"; then passed=$((passed + 1)) && echo "ok $name"; else
        failed=$((failed + 1))
        echo "FAIL $name"
        [ -s "$said" ] && tail -n 50 "$said" | tr -d '\000-\010\013-\037' | sed 's/^/      /'
    fi
    return 0
}
finish() {
    echo "$passed passed, $failed failed"
    [ $failed = 0 ]
}

# A busy machine may need long for anything; nothing waits longer than it takes.
patience=(--timeout 300 --expect-timeout "${PATIENCE:-60}")
split() { # the options before "--" into $options, the rest into $arguments; without "--" all are arguments
    options=() arguments=("$@")
    local i
    for ((i = 1; i <= $#; i++)); do
        [ "${!i}" = -- ] && options=("${@:1:i-1}") arguments=("${@:i+1}") && return
    done
}
tmux_run() { # tmux_run SIZE [OPTION... --] PROGRAM...
    local size=$1
    shift
    split "$@"
    # the steps come from standard input, which is of no use to the program
    python3 "$tools/termtext" --size "$size" "${patience[@]}" --record "$record" "${options[@]}" --script - -- "${arguments[@]}" \
        >"$screen" 2>"$said"
}
xterm_run() {
    local size=$1
    shift
    split "$@"
    python3 "$tools/termshot" --size "$size" "${patience[@]}" --dir "$keep" --record "$record" --timing "$timing" --log "$log" \
        "${options[@]}" --script - -- "${arguments[@]}" 2>"$said"
}
in_tmux() {
    local size=$1
    shift
    split "$@"
    tmux_run "$size" "${options[@]}" -- "$COUPLET" "${arguments[@]}"
}
in_xterm() {
    local size=$1
    shift
    split "$@"
    xterm_run "$size" "${options[@]}" -- "$COUPLET" "${arguments[@]}"
}

has() { grep -qaF -- "$2" "$1" || { echo "      not found in ${1##*/}: $2" | cat -v && return 1; }; }
lacks() { ! grep -qaF -- "$2" "$1" || { echo "      found in ${1##*/}: $2" | cat -v && return 1; }; }
same() { [ "$1" = "$2" ] || { printf '      %s\n   is not %s\n' "$1" "$2" && return 1; }; }

# The picture that `render` makes of a layout.
rendered() { "$COUPLET" render --quiet "$1" -o "$2" >>"$said" 2>&1; }
# The last picture in $record as a PNG. The line about it is in $said.
last_sixel() { # last_sixel SIZE OUT
    python3 "$tools/sixelcat-check" --size "$1" --png "$work/.png" --only last --min 1 "$record" >"$said" && mv "$work/.png/last.png" "$2"
}
sixels() { python3 "$tools/sixelcat-check" --size 120x40 --json "$record" >"$said"; }

# How far a picture that was shown may be from the PNG. Measured: mean 2, max 41 for the same picture (a palette of 256
# colours); from 7 and 212 on for a region moved by one grid step, 34 for another seed.
equal_png() { "$pngdiff" --scale --mean 4 --most 90 "$1" "$2" >"$said" 2>&1 || { sed 's/^/      /' "$said" && return 1; }; }
other_png() { # more off than equal ones may be
    "$pngdiff" --scale "$1" "$2" >"$said" 2>&1
    awk '!($1 == "max" && $4 > 5) {print "      " $0; exit 1}' "$said"
}

# A scene of three regions with a cheap sampler setting; STEPS by default 6.
scene() { # scene FILE [STEPS]
    cat >"$1" <<END
{"couplet": 1, "canvas": {"width": 128, "height": 128}, "mode": "advanced",
 "regions": [
  {"rect": [0, 0.5, 0, 0.5], "weight": 1, "prompt": "a cat, night sky"},
  {"rect": [0.5, 1, 0, 0.5], "weight": 1, "prompt": "a sun, sunset"},
  {"rect": [0, 1, 0.5, 1], "weight": 1, "prompt": "a boat, sea"}],
 "sampling": {"steps": ${2:-6}, "cfg": 4, "seed": 42}}
END
}
# Programs that still run in this test's environment.
strays() {
    local folder
    for folder in /proc/[0-9]*; do
        { tr '\0' '\n' <"$folder/environ" | grep -qxF "COUPLET_TEST_MARK=$work" && tr '\0' ' ' <"$folder/cmdline" | grep -F "$COUPLET"; } 2>/dev/null
    done
    return 0
}
no_strays() {
    local left
    left=$(strays)
    [ -z "$left" ] || { echo "      still running: $left" && return 1; }
}
no_files() { # no_files FOLDER [NAME...]: nothing else is in the folder
    local folder=$1 left
    shift
    left=$(cd "$folder" && find . -mindepth 1 | sed 's/^..//' | grep -vxF -f <(printf '%s\n' "$@" ''))
    [ -z "$left" ] || { echo "      left behind: $left" && return 1; }
}
# The modes of the terminal as the recording leaves them: none of ours may stay on.
modes_restored() {
    python3 - "$record" <<'END'
import re, sys
state = {}
for m in re.finditer(rb'\x1b\[\?([\d;]+)([hl])', open(sys.argv[1], 'rb').read()):
    for mode in m.group(1).split(b';'):
        state[int(mode)] = m.group(2) == b'h'
wrong = [m for m in (1000, 1002, 1003, 1004, 1006, 1015, 1049, 2004, 2026) if state.get(m)] + [m for m in (25,) if state.get(m) is False]
if wrong or 1049 not in state:
    print('      modes left on: %s of %s' % (wrong, state))
    sys.exit(1)
END
}
