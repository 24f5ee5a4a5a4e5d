#!/usr/bin/env bash
# The mouse in xterm: a click selects, a drag moves or resizes just what was taken, nothing else happens.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# Where things are is read off the screen: the frame of the selected region, the table, the picture's pane.
scene look.json
look() {
    in_xterm 120x40 look.json <<END
expect synced
screen look.txt
key q
waitexit 20 0
END
}
check 'the screen is there' look
eval "$(python3 - "$keep/look.txt" <<'END'
import sys
rows = open(sys.argv[1]).read().split('\n')
def find(text):
    return next((x.find(text), y) for y, x in enumerate(rows) if text in x)
(left, top), (right, _), (_, bottom) = find('┏'), find('┓'), find('┗')
width, height = right - left + 1, bottom - top + 1     # half of the canvas each
_, table = find('▸ 1')
print(f'left={left} right={right} top={top} bottom={bottom} width={width} height={height} table={table}')
print(f'x={left + width // 2} y={top + height // 2} quarter_x={width // 2} quarter_y={height // 2}')
END
)"
: "${left:=0}" "${right:=0}" "${top:=0}" "${bottom:=0}" "${width:=0}" "${height:=0}" "${table:=0}" "${x:=0}" "${y:=0}" "${quarter_x:=0}" "${quarter_y:=0}"

scene mouse.json
drags() {
    in_xterm 120x40 mouse.json <<END
expect synced
click $x $((y + height))
expect ▸ 3
click $((x + width)) $y
expect ▸ 2
expect-not [+]
drag $x $y $((x + quarter_x)) $((y + quarter_y))
expect ▸ 1    0.250  0.750  0.250  0.750
expect [+]
shot dragged.png
key u
expect ▸ 1    0.000  0.500  0.000  0.500
expect-not [+]
drag $right $y $((right - quarter_x)) $y
expect ▸ 1    0.000  0.250  0.000  0.500
key u
expect ▸ 1    0.000  0.500  0.000  0.500
drag $x $bottom $x $((bottom + quarter_y))
expect ▸ 1    0.000  0.500  0.000  0.750
key u
expect ▸ 1    0.000  0.500  0.000  0.500
drag $x $y 0 0
expect ▸ 1    0.000  0.500  0.000  0.500
drag 90 10 100 20
drag 0 $((table - 3)) 20 5
drag $x 0 $x 39
settle
expect-not [+]
expect 3 regions
END
}
check 'a click selects, a drag moves a region or one edge, each one step of undo; elsewhere nothing' drags

scene clicks.json
clicks() {
    in_xterm 120x40 clicks.json <<END
expect synced
click 60 $((table + 1))
expect ▸ 2
wheel down 60 $table
expect ▸ 3
wheel up $x $y
expect ▸ 2
dclick $((x + width)) $y
expect EDIT
key C-u
text a tree, sunset
click 60 $table
expect ▸ 1
expect a tree, sunset
click 30 10 3
settle
drag $((right + 1 + width / 2)) $y $((right + 1 + width / 2 - quarter_x)) $y
expect ▸ 2    0.250  0.750  0.000  0.500
key s
expect saved
key q
waitexit 20 0
END
}
check 'clicks, double clicks and the wheel in canvas and table' clicks
saved() { python3 -c 'import json; r = json.load(open("clicks.json"))["regions"]; assert len(r) == 3 and r[1]["rect"] == [0.25, 0.75, 0, 0.5] and r[1]["prompt"] == "a tree, sunset" and r[0]["rect"] == [0, 0.5, 0, 0.5], r' >"$said" 2>&1; }
check 'what was dragged lies on the grid, in the file too' saved
check 'the mouse is given back' modes_restored
check 'no process is left' no_strays
check 'nor a temporary file' no_files "$TMPDIR"
finish
