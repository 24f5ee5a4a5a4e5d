# shellcheck shell=bash
# lib.sh: what the tests of the commands share. Sourced; each test works in an empty folder of its own.
#   run STATUS COMMAND...   runs it: stdout in $out, stderr in $err, and its status must be STATUS
#   check NAME COMMAND...   counts one test: ok if the command succeeds
set -u
# shellcheck disable=SC2034
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${BUILD:=$root/build/plain}"
: "${COUPLET:=$BUILD/couplet}"
case $COUPLET in /*) ;; *) COUPLET=$PWD/$COUPLET ;; esac
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset NO_COLOR COLORTERM COUPLET_BACKEND_DIR COUPLET_CUDA_PRODUCTS COUPLET_CUBLASLT COUPLET_CUDNN COUPLET_LORA_DIR COUPLET_EMBEDDINGS_DIR XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME LC_ALL LC_CTYPE LC_MESSAGES LANGUAGE
# nothing of the user's: neither configuration nor presets nor models
export LANG=C.UTF-8 TERM=xterm HOME=$work/.home
passed=0 failed=0
out=$work/.out err=$work/.err

run() {
    local want=$1 status
    shift
    "$@" >"$out" 2>"$err" </dev/null
    status=$?
    [ $status = "$want" ] && return 0
    echo "      exit status $status, not $want: $*" && sed 's/^/      /' "$err" | cat -v
    return 1
}
check() {
    local name=$1
    shift
    if "$@"; then passed=$((passed + 1)) && echo "ok $name"; else
        failed=$((failed + 1))
        echo "FAIL $name"
        # what the last command said
        for f in "$out" "$err"; do [ -s "$f" ] && head -c 2000 "$f" | sed "s/^/      ${f##*.}: /" | cat -v; done
    fi
    return 0
}
finish() {
    echo "$passed passed, $failed failed"
    [ $failed = 0 ]
}

lines_in() { [ "$(wc -l <"$1")" = "$2" ] || { echo "      $(wc -l <"$1") lines, not $2: ${1##*.}" && return 1; }; }
empty() { [ ! -s "$1" ] || { echo "      not empty: ${1##*.}" && return 1; }; }
has() { grep -qaF -- "$2" "$1" || { echo "      not found in ${1##*.}: $2" && return 1; }; }
lacks() { ! grep -qaF -- "$2" "$1" || { echo "      found in ${1##*.}: $2" && return 1; }; }
absent() { [ ! -e "$1" ] || { echo "      was written: $1" && return 1; }; }
# No byte that a terminal could obey.
harmless() {
    ! LC_ALL=C grep -qaP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$1" ||
        { echo "      control characters in ${1##*.}" && return 1; }
}
