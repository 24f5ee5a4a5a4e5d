#!/usr/bin/env bash
# The editor as text, in tmux (no sixel, half blocks): what each key does to the screen and to the file.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# What the saved layout says: value FILE EXPRESSION, a Python expression of the layout l.
value() { python3 -c 'import json, sys; l = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }
row() { grep -aE "^│[ ▸]+$1 " "$screen"; }

# ---- Geometry, rows, undo ----

scene rows.json
start() {
    in_tmux 80x24 rows.json <<END
expect r1 synced
expect covered 100 %
expect ▸ 1    0.000  0.500  0.000  0.500    1.00
expect boat, sea
expect g generate
END
}
check '80x24: canvas, table, settings and keys are there' start
fits() { python3 -c 'import sys; t = open(sys.argv[1]).read().split("\n"); sys.exit(len(t) < 24 or max(map(len, t)) > 80)' "$screen"; }
check '80x24: nothing is wider' fits

geometry() {
    in_tmux 80x24 rows.json <<END
expect r1 synced
key L
expect ▸ 1    0.000  0.562  0.000  0.500
key J J
expect ▸ 1    0.000  0.562  0.000  0.625
key H H K
expect ▸ 1    0.000  0.438  0.000  0.562
expect [+]
key 2 l j
expect ▸ 1    0.125  0.562  0.062  0.625
key A-h
expect ▸ 1    0.121  0.559
key ] ]
expect ▸ 3
key [
expect ▸ 2
key 5 0 l
expect ▸ 2    0.500  1.000
key . . h
expect ▸ 2    0.484  0.984
key u
expect ▸ 2    0.500  1.000
key u u u u u u u u u u u u
expect   1    0.000  0.500  0.000  0.500
key C-r
expect   1    0.000  0.562  0.000  0.500
key + +
key s
expect saved rows.json
expect-not [+]
key q
waitexit 20 0
END
}
check 'keys move and resize a region, off the grid too, and undo takes it back' geometry
saved_rows() {
    same "$(value rows.json '[float(v) for v in l["regions"][0]["rect"]]')" '[0.0, 0.5625, 0.0, 0.5]' &&
        "$COUPLET" lines --json rows.json >lines.txt && has lines.txt '"a cat, night sky"'
}
check 'the file has what the table showed' saved_rows

scene list.json
list() {
    in_tmux 120x40 list.json <<END
expect r1 synced
key n
expect 4 regions
expect ▸ 4
key d d
expect 3 regions
key u
expect 4 regions
key U
expect 3 regions
key Home y
expect 4 regions
expect ▸ 2    0.062  0.562  0.062  0.562    1.00    5/22   a cat, night sky
key >
expect ▸ 3    0.062  0.562  0.062  0.562    1.00    5/22   a cat, night sky
key 3 - +
expect ▸ 3    0.062  0.562  0.062  0.562    0.90
key x
expect 3 regions
key :
text w copy.json\n
expect saved copy.json
key q
waitexit 20 0
END
}
check 'rows are added, deleted, copied, moved; undo and redo' list
copied() { same "$(value copy.json '[r["prompt"] for r in l["regions"]]')" "['a cat, night sky', 'a sun, sunset', 'a boat, sea']"; }
check 'and the list in the file is that of the screen' copied

# ---- Typing ----

scene typed.json
typed() {
    in_tmux 80x24 typed.json <<END
expect r1 synced
key Tab ]
expect ▸ 2
key h h h h
key Return
text 0,75\r
expect x2 must be a number such as 0.25 or 1/4
key Escape
expect ▸ 2    0.500  1.000
key Return
text 0.25\r
expect x2 must be more than x1
key Escape
expect-not [+]
key Return
text 3/4\r
expect ▸ 2    0.500  0.750
key u
expect ▸ 2    0.500  1.000
key e C-u
text a red zeppelin\r
expect zeppelin
expect 2 !
expect does not know
key e C-u
text a red apple, sunset\r
expect-not 2 !
expect a red apple, sunset
key s
expect saved
key q
waitexit 20 0
END
}
check 'cells: a bad value is refused in words, a good one taken; unknown words are told' typed
check 'the prompt is in the file' same "$("$COUPLET" lines typed.json --json | tr -d '\n ')" '{"lines":["acat,nightsky","aredapple,sunset","aboat,sea"]}'

scene set.json
settings() {
    in_tmux 120x40 set.json <<END
expect r1 synced
expect steps 6
key BTab
expect SETTINGS
key l k
expect steps 7
key Return
text 0\r
expect steps
expect-not steps 0 cfg
key Escape
expect steps 7
key Escape :
text set seed 99\n
expect seed 99
key :
text set sampler nonsense\n
expect euler
key :
text set sampler dpmpp_2m\n
expect dpmpp_2m
key :
text set size 192x128\n
expect canvas 192x128
key :
text zap\n
expect there is no command ":zap"
key :
text q\n
expect unsaved changes
key :
text wq\n
waitexit 20 0
END
}
check 'settings are stepped, typed and set by command; bad ones are refused' settings
check 'and saved' same "$(value set.json '[l["canvas"], l["sampling"]["steps"], l["sampling"]["seed"], l["sampling"]["sampler"]]')" \
    "[{'width': 192, 'height': 128}, 7, 99, 'dpmpp_2m']"

# ---- Generate, help, modes, quit ----

scene made.json
made() {
    in_tmux 120x40 made.json <<END
expect r1 synced
expect no picture yet
key g
expect done
expect ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀
expect current
key L
expect-not current
key u
expect current
screen $keep/half-blocks.txt
key P
expect made.png
key Return
expect wrote made.png
key ?
expect Keys of couplet
key PageDown
expect Rows
key Escape
expect-not Keys of couplet
key p
expect-not canvas 128x128
key p
expect canvas 128x128
key q
waitexit 20 0
END
}
check 'g generates to "done", as half blocks in tmux; the picture is current only for its layout' made
exact() { rendered made.json rendered.png && "$pngdiff" --most 0 rendered.png made.png >"$said" 2>&1; }
check 'P writes just the picture that render makes' exact

scene long.json 400
cancelled() {
    in_tmux 80x24 long.json <<END
expect r1 synced
key g
expect /400
key L
expect ▸ 1    0.000  0.562
key c
expect cancelled
expect-not /400
key q
expect unsaved changes
key Escape
expect-not unsaved changes
key q d
waitexit 20 0
END
}
check 'keys work while a picture is made, c stops it; q asks, Esc stays, d discards' cancelled
check 'what was discarded is not in the file' same "$(value long.json 'l["regions"][0]["rect"]')" '[0, 0.5, 0, 0.5]'

scene modes.json
modes() {
    in_tmux 120x40 modes.json <<END
expect advanced
key x
expect covered 75 %
key g
expect no region
key f
expect holes are filled
key Tab
expect filled 25 %
key u u
expect covered 100 %
key m m
expect basic columns
key v
expect basic rows
key b
expect background
key :
text q!\n
waitexit 20 0
END
}
check 'holes are told of and filled; modes, direction and background change' modes
fresh() {
    rm -f new.json
    in_tmux 80x24 new.json <<END
expect 1 region
key e
text a cat\r
key q
expect unsaved changes
key s
waitexit 20 0
END
    same "$(value new.json 'l["regions"][0]["prompt"]')" 'a cat'
}
check 'a file that is not there begins as a layout with one region; s at the question saves' fresh
nameless() {
    in_tmux 80x24 <<END
expect (no name)
key n s
expect save as
text named.json\r
expect saved named.json
key q
waitexit 20 0
END
    [ -s named.json ]
}
check 'without a name, saving asks for one' nameless

shipped() { # all of them, one after the other
    local file
    {
        echo 'expect synced'
        for file in "$root"/layouts/*.json; do
            printf '%s\n' 'key :' "text e $file\\n" "expect opened" "expect ${file##*/}" 'expect synced' 'expect-not not valid' 'expect-not !' 'key Escape'
        done
        printf '%s\n' 'key q' 'waitexit 20 0'
    } >shipped.txt
    in_tmux 120x40 scene-of-none.json <shipped.txt
}
check 'every layout that ships opens without a warning' shipped

# ---- Sizes ----

scene sizes.json
card() {
    in_tmux 60x15 sizes.json <<END
expect couplet needs
expect this terminal has 60 x 15
resize 80 24
expect boat, sea
expect-not couplet needs
resize 30 6
expect-not boat, sea
resize 10 2
settle
resize 1 1
settle
resize 120 40
expect ▸ 1    0.000  0.500  0.000  0.500
expect no picture yet
key q
waitexit 20 0
END
}
check '60x15: a card says what is needed; larger again: the editor; 1x1 does no harm' card

stats() { [ -s state/couplet/stats.json ] && "$COUPLET" stats state/couplet/stats.json >"$said" && "$COUPLET" stats --json state/couplet/stats.json | python3 -m json.tool >/dev/null; }
check 'a running editor keeps its statistics in the state folder' stats
check 'the state folder holds nothing else' no_files state couplet couplet/stats.json couplet/commands couplet/journal couplet/places.json
check 'no process is left' no_strays
check 'nor a temporary file' no_files "$TMPDIR"
finish
