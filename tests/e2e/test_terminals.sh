#!/usr/bin/env bash
# Terminals of all kinds: none, dumb, without colours, without sixel, changing in size; and that nothing a layout or a paste
# says reaches one raw. Then the commands that show pictures, in each.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scene scene.json
rendered scene.json scene.png

# ---- None, dumb ----

refused() { # refused TEXT COMMAND...: one clear line on stderr, nothing else, status 1
    local text=$1 status
    shift
    "$@" >out.txt 2>"$said"
    status=$?
    same $status 1 && has "$said" "$text" && same "$(wc -l <"$said")" 1 && [ ! -s out.txt ]
}
check 'no terminal: a clear message, status 1' refused 'needs a terminal' setsid "$COUPLET" scene.json </dev/null
piped() { # a terminal, but not on standard output
    # shellcheck disable=SC2016 # the shell in the terminal expands it
    tmux_run 80x24 --hold -- sh -c '"$COUPLET" scene.json | cat; echo the end' <<END
expect needs a terminal on standard input and output
expect the end
waitexit 20 0
END
}
check 'standard output is no terminal: the same' piped
dumb() {
    tmux_run 80x24 --hold -- env TERM=dumb "$COUPLET" scene.json <<END
expect cannot draw on a terminal of type "dumb"
waitexit 20 1
END
}
check 'TERM=dumb: a clear message, status 1' dumb
unknown() {
    tmux_run 80x24 --hold -- env TERM=no-such-terminal "$COUPLET" scene.json <<END
expect no-such-terminal
waitexit 20 1
END
}
check 'a TERM that nobody knows: a clear message, status 1' unknown

# ---- Colours ----

no_colors() { # no SGR sequence with a colour in the recording
    python3 - "$record" <<'END'
import re, sys
sgr = {p for m in re.findall(rb'\x1b\[([\d;:]*)m', open(sys.argv[1], 'rb').read()) for p in re.split(rb'[;:]', m) if p}
bad = sorted(p for p in sgr if 30 <= int(p) <= 49 or 90 <= int(p) <= 107)
print('      colours:', bad) if bad else None
sys.exit(bool(bad))
END
}
generated() { # generated SHOT OPTION...; a file of its own: of one that was open before the editor knows the place
    local shot=$1 layout=${1%.png}.json
    shift
    cp scene.json "$layout"
    in_xterm 120x40 "$@" -- "$layout" <<END
expect synced
key g
expect done
settle 1.5 30
shot $shot
key ] K
expect ▸ 2    0.500  1.000  0.000  0.438
key q d
waitexit 20 0
END
}
check 'NO_COLOR=1: the editor works' generated no-color.png --env NO_COLOR=1
check 'NO_COLOR=1: without a colour, pictures apart' no_colors
check 'TERM=vt100: the editor works' generated vt100.png --term vt100
check 'TERM=vt100: without a colour' no_colors
check 'no colours and no sixel: the editor works' generated monochrome.png --env NO_COLOR=1 --ti vt220
no_sixel() { lacks "$record" $'\033P'; }
plain() { no_colors && no_sixel; }
check 'and shows no colour' plain
always() {
    in_tmux 80x24 --env NO_COLOR=1 -- --color always scene.json <<END && ! no_colors >/dev/null
expect synced
key q
waitexit 20 0
END
}
check '--color always goes before NO_COLOR' always

# ---- Light and dark ----

# The bar above the panes: light grey where the terminal's background is light, dark grey where it is dark.
bar_of() { # bar_of COLOUR OPTION...
    local color=$1
    shift
    in_xterm 100x30 "$@" -- scene.json <<END
expect synced
settle 1 30
expect-color 0.5 0.5 $color 12
key q
waitexit 20 0
END
}
check 'a light terminal has a light theme' bar_of e4e4e4 --bg '#fdfcf8' --fg '#24262a'
check 'a dark terminal has a dark theme' bar_of 303030 --bg '#14161a' --fg '#d8dade'

# ---- No sixel ----

check 'xterm without sixel: the editor works' generated half-blocks.png --ti vt220
half_blocks() { has "$record" '▀' && no_sixel; }
check 'with half blocks instead of sixel' half_blocks

in_screen() { # GNU screen hands no pictures on
    cp scene.json screen.json
    # shellcheck disable=SC2016 # the shell in the terminal expands it
    xterm_run 100x30 --env SCREENDIR="$work/screen" -- sh -c 'mkdir -m 700 "$SCREENDIR"; exec screen -c /dev/null -U -q "$COUPLET" screen.json' <<END && no_sixel && has "$record" '▀'
expect r1 synced
key L
expect [+]
key u g
expect done
expect current
shot screen.png
key Escape
key q
waitexit 30 0
END
}
check 'GNU screen: half blocks, keys, no sixel' in_screen

# ---- Reports that nobody asked for ----

cp scene.json reports.json
reports() { # focus, replies, and a sequence whose Esc came long before: none of it is a key
    in_xterm 100x30 reports.json <<END && lacks reports.json 'rect": [0.0625'
expect r1 synced
raw \e[I\e[O\e[?1;2c\e[6;18;9t\e]11;rgb:0000/0000/0000\e\\\\\e[12;40R\eP1+r544e\e\\\\
settle 0.3 5
raw \e
wait 0.3
raw [H
settle 0.3 5
raw \e
wait 0.3
raw [1;2C
expect ▸ 1    0.000  0.562
key u
expect ▸ 1    0.000  0.500  0.000  0.500
expect-not [+]
key q
waitexit 20 0
END
}
check 'focus reports, late replies and a sequence in two pieces are no other keys' reports

# ---- Sizes ----

storm() {
    local sizes=(100x30 61x16 60x15 132x43 80x24 40x10 120x20 20x5 90x50 62x40 140x17 120x40) i
    scene storm.json 60
    {
        echo 'expect synced'
        echo 'key g'
        for i in "${sizes[@]}" "${sizes[@]}"; do echo "resize ${i/x/ }"; done
        cat <<END
expect done
expect ▸ 1    0.000  0.500  0.000  0.500
settle 1.5 30
shot after-resizes.png
key q
waitexit 20 0
END
    } >storm.txt
    in_xterm 120x40 storm.json <storm.txt && modes_restored
}
check 'many resizes while a picture is made do no harm' storm
shown_after() { last_sixel 120x40 "$keep/after-resizes-sixel.png" && rendered storm.json storm.png && equal_png storm.png "$keep/after-resizes-sixel.png"; }
check 'and the picture is there in the end' shown_after

# ---- Escape sequences ----

harmless() { ! LC_ALL=C grep -qaE 'evil.?(\x07|\x1b)|\x1b\][^\x1b]*evil|\x1b\[31337' "$1" && ! LC_ALL=C grep -qaP '\x1b\]0;evil|\x1b\[31337m|\x07' "$1"; }
printf '{"couplet": 1, "regions": [{"prompt": "a cat \\u001b]0;evil\\u0007 \\u001b[31337m"}]}\n' >escape.json
escape() { # the commands refuse it; the editor shows it, so that it can be mended
    refused 'escape.json: regions[0].prompt: ' "$COUPLET" check escape.json && harmless "$said" || return 1
    in_tmux 120x40 escape.json <<END && harmless "$record" && harmless <("$COUPLET" lines mended.json --json)
expect escape.json
expect a cat
key e
settle
key C-u
text a cat\r
key S
key C-u
text mended.json\r
expect saved mended.json
key q
waitexit 20 0
END
}
check 'escape sequences in a prompt: not a byte of them reaches the terminal' escape
evil=$'evil\033]0;evil\007\033[31337m.json'
cp scene.json "$evil"
named() {
    in_xterm 120x40 "$evil" <<END && harmless "$record"
expect synced
expect evil
key L s
expect saved
key q
waitexit 20 0
END
}
check 'escape sequences in a file name: shown harmless, and saved under that name' named
same_name() { ! cmp -s scene.json "$evil" && harmless <("$COUPLET" check "$evil" 2>&1); }
check 'by the commands too' same_name
pasted() {
    cp scene.json paste.json
    in_tmux 120x40 paste.json <<END && harmless "$record" && harmless paste.json && "$COUPLET" check --quiet paste.json
expect synced
key e C-u
raw \e[200~a tree\e]0;evil\x07, \e[31337msea\e[201~
expect tree
key Return
settle
raw \e[200~g\rq\r\e[201~
expect pasted lines are regions from 4 on
key s
expect saved
key q
waitexit 20 0
END
}
check 'escape sequences in a paste: never sent back; a paste is no keys' pasted

# ---- Commands ----

started() {
    in_xterm 120x40 -- --generate scene.json <<END && last_sixel 120x40 "$keep/generate.png" && equal_png scene.png "$keep/generate.png"
expect done
expect current
settle 1.5 30
key q
waitexit 20 0
END
}
check '--generate starts with a picture' started
map_and_show() {
    # shellcheck disable=SC2016
    xterm_run 120x40 --hold -- sh -c '"$COUPLET" map scene.json; read -r _; "$COUPLET" show scene.png; read -r _' <<END
expect 50.0 %  a boat, sea
shot map.png
key Return
settle 1.5 30
shot show.png
key Return
waitexit 20 0
END
    last_sixel 120x40 "$keep/show-sixel.png" && equal_png scene.png "$keep/show-sixel.png" &&
        python3 "$tools/sixelcat-check" --min 2 --max 2 "$record" >"$said" && no_escape_left
}
no_escape_left() { ! LC_ALL=C grep -qaP '\x1b\[\?1049h' "$record"; }
check 'map and show in xterm: sixel' map_and_show
exact_map() { # a drawing of few colours: just these, not speckled
    python3 "$tools/sixelcat-check" --png maps --only 0 "$record" >"$said"
    "$COUPLET" map scene.json --png map.png >/dev/null && "$pngdiff" --scale --most 2 map.png maps/000.png >"$said" 2>&1
}
check 'the map has the colours of map --png' exact_map
map_in_tmux() {
    # shellcheck disable=SC2016 # the shell in the terminal expands it
    tmux_run 80x24 --hold -- sh -c '"$COUPLET" map scene.json; read -r _; "$COUPLET" show scene.png; read -r _' <<END && no_sixel
expect 50.0 %  a boat, sea
screen map.txt
key Return
expect ▀▀▀▀▀▀▀▀▀▀
key Return
waitexit 20 0
END
    has map.txt '3333333333'
}
check 'map and show in tmux: letters and half blocks' map_in_tmux
pipes() {
    "$COUPLET" map scene.json >map.txt 2>"$said" && has map.txt '1111111111' && lacks map.txt $'\033' &&
        "$COUPLET" show scene.png >show.txt 2>"$said" && has show.txt '128x128' && lacks show.txt $'\033'
}
check 'map and show in a pipe: text' pipes

# ---- The picture for the README ----

readme() {
    in_xterm 120x40 "$root/layouts/harbour.json" <<END
expect synced
key g
expect done
expect current
settle 1.5 30
shot readme.png
key q
waitexit 20 0
END
}
check 'a screenshot of a layout that ships' readme

check 'no process is left' no_strays
check 'nor a temporary file' no_files "$TMPDIR"
finish
