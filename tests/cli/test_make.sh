#!/usr/bin/env bash
# What makes an object anew, and what does not; in a copy that holds a corner of the sources.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# The make that runs the tests has flags of its own.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CI CC CXX OPT CFLAGS LDFLAGS WERROR SANITIZE V
copy="$work/a copy" object=build/plain/core/memory/error.o
mkdir -p "$copy/core"
cp "$root/Makefile" "$copy/"
cp -r "$root/core/memory" "$root/core/couplet.h" "$copy/core/"

made() { # made COUNT ARGUMENT...: makes it, with so many files compiled
    local count=$1
    shift
    run 0 make -C "$copy" CUDA=no "$@" && { [ "$(grep -c '^  CC ' "$out")" = "$count" ] || { echo "      not $count compiled" && return 1; }; }
}
compiled_if() { # compiled_if COUNT ARGUMENT...: what it would do
    local count=$1
    shift
    run 0 make -C "$copy" -n V=1 CUDA=no "$@" && { [ "$(grep -c -- "-o $object" "$out")" = "$count" ] || { echo "      not $count to compile" && return 1; }; }
}

check 'in a path with a space' made 1 $object
check 'nothing to do' made 0 $object
check 'to look changes nothing' compiled_if 1 CFLAGS=-DOTHER $object
check 'other flags' made 1 CFLAGS="-DONE='a  b' -DTWO='\$\$x'" $object
check 'the same flags' made 0 CFLAGS="-DONE='a  b' -DTWO='\$\$x'" $object
check 'and back' made 1 $object
check 'another compiler' compiled_if 1 CC='gcc -m64' $object
check 'the same through a cache' compiled_if 0 CC='ccache cc' $object
check 'warnings that are errors make no other code' made 0 CI=true $object
check 'what is installed is what was built' compiled_if 0 CFLAGS=-DOTHER install -o couplet -o build/plain/couplet $object
touch "$copy/core/memory/error.h"
check 'a header' made 1 $object
finish
