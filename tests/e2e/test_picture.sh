#!/usr/bin/env bash
# From a key press to the picture, in xterm with sixel: previews on the way, and what is on the screen in the end is what
# `render` makes of the layout, also when the key came right after an edit.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# ---- The finished picture ----

cp "$root/layouts/harbour.json" first.json
wider() { # the first region one grid step wider
    python3 -c 'import json, sys; l = json.load(open(sys.argv[1])); l["regions"][0]["rect"][1] += 1 / 16; json.dump(l, open(sys.argv[2], "w"))' "$@"
}
press_g() {
    in_xterm 120x40 first.json <<END
expect synced
key g
expect done
settle 1.5 30
shot picture.png
key q
waitexit 30 0
END
}
check 'g makes a picture' press_g
cp "$record" "$keep/picture.bin" 2>/dev/null

in_order() { # the key, previews of few colours, the finished picture; then the time it took
    sixels && python3 - "$log" "$timing" "$said" <<'END'
import json, sys
log, timing, images = ([json.loads(line) for line in open(path) if line.startswith('{')] for path in sys.argv[1:])
key = next(step['t'] for step in log if step['step'] == 'key g')
end = images[-1]['offset'] + images[-1]['bytes']
finished = next(t['t'] for t in timing if t['offset'] + t['bytes'] >= end)
previews = [i for i in images[:-1] if i['colours'] <= 64]
print('      %d previews; %.2f s from the key, %.2f s from the start to the finished picture of %d colours, %d bytes'
      % (len(previews), finished - key, finished, images[-1]['colours'], images[-1]['bytes']))
sys.exit(not (previews and images[-1]['colours'] > 64 and finished - key < 60))
END
}
check 'there are previews on the way, and then the finished picture' in_order
sound() { python3 "$tools/sixelcat-check" --size 120x40 "$record" >"$said" && lacks "$said" 'warning: '; }
check 'every sixel is whole, in its place and above the last row' sound
last_sixel 120x40 "$keep/picture-sixel.png"
rendered first.json first.png
wider first.json wider.json
rendered wider.json wider.png
check 'the finished picture is the one that render makes' equal_png first.png "$keep/picture-sixel.png"
check 'a region that is one grid step wider makes another picture' other_png wider.png "$keep/picture-sixel.png"
check 'the terminal is left as it was' modes_restored

# ---- Never stale ----

# fresh NAME STEPS STEP...: the keys, which end with g, then save; the picture is that of the saved layout, not of the one before
fresh() {
    local name=$1 steps=$2 step
    shift 2
    scene "$name.json" "$steps" && cp "$name.json" "$name-before.json"
    for step in "$@"; do echo "$step"; done >steps
    cat steps - >all-steps <<END
expect current
settle 1.5 30
key s
expect saved
key q
waitexit 30 0
END
    in_xterm 120x40 "$name.json" <all-steps && last_sixel 120x40 "$keep/fresh-$name.png" || return 1
    rendered "$name.json" after.png && rendered "$name-before.json" before.png || return 1
    echo "      $(equal_png after.png "$keep/fresh-$name.png"; cat "$said")"
    equal_png after.png "$keep/fresh-$name.png" && other_png before.png "$keep/fresh-$name.png"
}
# `raw` hands all bytes over at once: there is no pause between them.
check 'right after edits, before anything else was made' fresh resized 6 'raw LLLL+++++++++++++g'
check 'right after a prompt and a setting were typed' fresh typed 6 'expect synced' 'raw :set seed 7\re\x15a red apple, sunset\rg'
check 'right after an edit while a picture is being made' fresh edited 60 'expect synced' 'raw g' 'expect /60' 'raw LLJJg'
check 'right after edits that were taken back and another' fresh undone 6 'expect synced' 'raw g' 'expect current' 'raw LLLuu+]Jg' 'expect [+]'

# ---- Live mode ----

scene live.json
live() {
    in_xterm 120x40 live.json <<END && last_sixel 120x40 "$keep/live.png" && rendered live.json live-after.png
expect synced
key G
expect live
expect current
key L L
expect 0.000  0.625
expect current
settle 1.5 30
key s
expect saved
key q
waitexit 30 0
END
}
check 'live mode makes a picture after an edit' live
check 'which is that of the edited layout' equal_png live-after.png "$keep/live.png"

check 'no process is left' no_strays
check 'nor a temporary file' no_files "$TMPDIR"
finish
