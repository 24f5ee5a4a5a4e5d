#!/usr/bin/env bash
# Wrong usage (status 2, stderr only, a hint), help and version (status 0, stdout only).
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

echo '{"couplet": 1, "regions": [{}]}' >a.json

wrong() { # wrong WORDS ARGUMENT...
    local words=$1
    shift
    run 2 "$COUPLET" "$@" && empty "$out" && lines_in "$err" 2 && has "$err" "$words" && has "$err" ' --help".' && harmless "$err"
}
says() { # says WORDS ARGUMENT...
    local words=$1
    shift
    run 0 "$COUPLET" "$@" && empty "$err" && has "$out" "$words"
}

check 'unknown option' wrong 'unknown option --frob' --frob
check 'a near miss is named' wrong 'did you mean --steps?' render a.json -o b.png --stesp 3
check 'a near miss of a command' wrong 'did you mean "render"?' rendr a.json -o b.png
check 'option of another command' wrong 'lines does not take --grid' lines a.json --grid 4x4
check 'render without -o' wrong 'OUT.png' render a.json
check 'masks without --grid' wrong '--grid 16x16' masks a.json
check 'no file' wrong 'needs a file' check
check 'too many files' wrong 'no more files' check a.json b.json
check 'a value that is no number' wrong '--steps:' render a.json -o b.png --steps many
check 'a size that is no multiple of 8' wrong 'multiples of 8' render a.json -o b.png --size 100x100
check 'tiles that are none' wrong '--tiles: "2" is not CxR, such as 3x2 tiles (1 to 64)' lines a.json --tiles 2
check 'a grid that is none' wrong '--grid: "2000x1" is not WxH, such as 16x16 tokens (1 to 1024)' masks a.json --grid 2000x1
check 'a size that is too large' wrong 'a size from 1M to 9313G' render a.json -o b.png --vram 20000G
check '--threshold without --tiles' wrong 'lines a.json --tiles 2x2' lines a.json --threshold 0.3
check '--replace without --tiles' wrong '--replace is about tiles' lines a.json --replace 'a: b'
check '--tokens with --tiles' wrong '--tokens' lines a.json --tiles 2x2 --tokens
check 'an unknown sampler' wrong 'did you mean "euler"?' render a.json -o b.png --sampler eulr
check 'a value that is missing' wrong 'needs a value' render a.json -o
check 'escape sequences in an argument' wrong 'unknown option' $'--\e[31mred\a'
check 'escape sequences in a second file' wrong 'one too many' a.json $'b\e]0;x\a'
check 'nothing was written' absent b.png
check 'version' says 'couplet 0' --version
check 'help' says 'usage: couplet' --help
check 'short help' says 'usage: couplet' -h
for command in render check lines masks map show convert info stats; do
    check "help of $command" says "usage: couplet $command" "$command" --help
    check "help names $command" says "  $command " --help
done
check 'help wins over what is missing' says 'usage: couplet render' render --help

# shellcheck disable=SC2016
full_disk() { run 1 bash -c '"$0" --help >/dev/full' "$COUPLET" && has "$err" 'cannot write'; }
check 'a full disk is an error' full_disk

# A layout may be called like an option.
cp a.json ./--json
check 'after -- all are files' run 0 "$COUPLET" lines -- --json
cp a.json render
no_terminal() { run 1 "$COUPLET" "$@" && empty "$out" && lines_in "$err" 1 && has "$err" 'couplet render'; }
check 'no terminal: a message that names render' no_terminal a.json
check 'no terminal, no layout' no_terminal
check 'a file called like a command' no_terminal ./render
check 'a layout that does not exist yet' no_terminal new.json
new_in_no_folder() { run 1 "$COUPLET" nowhere/new.json && lines_in "$err" 1 && has "$err" 'nowhere/new.json: '; }
check 'a layout in a folder that does not exist' new_in_no_folder
if command -v script >/dev/null; then
    dumb() { TERM=dumb run 1 script -qec "$COUPLET a.json" /dev/null && has "$out" 'couplet render' && has "$out" dumb; }
    check 'TERM=dumb: a message' dumb
fi
check 'nothing was written by the editor' absent new.json
finish
