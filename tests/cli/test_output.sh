#!/usr/bin/env bash
# What the commands print: data on stdout, messages on stderr, JSON to the letter, the same in any locale.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

cat >two.json <<'END'
{"couplet": 1, "canvas": {"width": 64, "height": 64}, "regions": [
  {"rect": [0, 0.5, 0, 1], "prompt": "a \"cat\", night sky"},
  {"rect": [0.25, 1, 0, 1], "weight": 2, "prompt": " a sun, sunset "}]}
END
cat >common.json <<'END'
{"couplet": 1, "mode": "basic", "background": {"line": "first"}, "separator": "#",
 "prompt": "{sky:night sky}#a cat, {sky}#a boat"}
END
echo '{"couplet": 1, "uncovered": "fill", "regions": [{"rect": [0, 0.5, 0, 1], "prompt": "a cat"}]}' >hole.json
echo '{"couplet": 1, "surprise": 1, "regions": [{"prompt": "a cat"}, {"prompt": "a zeppelin"}]}' >warnings.json

prints() { # prints TEXT ARGUMENT...: exactly this on stdout, nothing on stderr
    local text=$1
    shift
    run 0 "$COUPLET" "$@" && empty "$err" || return 1
    printf '%s\n' "$text" | diff - "$out" || return 1
}

check 'lines --json' prints '{"lines": [
  "a \"cat\", night sky",
  "a sun, sunset"
]}' lines two.json --json
sed 's/a sun, sunset/two suns, sunset/' two.json >suns.json
check 'lines --tiles' prints 'column 1, row 1
  a "cat", night sky

column 2, row 1
  a sun, sunset' lines suns.json --tiles 2x1 --threshold 0.5 --replace 'a sun: two suns'
sed 's/\[0, 0.5, 0, 1\]/[0, 0.6, 0, 1]/' two.json >wide.json
check 'lines --tiles: as much of a region must lie in a tile as in Forge Couple' prints 'column 1, row 1
  a "cat", night sky

column 2, row 1' lines wide.json --tiles 2x1
cat >lora.json <<'END'
{"couplet": 1, "common": {"brackets": "< >"}, "regions": [
  {"rect": [0, 0.5, 0, 1], "prompt": "<k:a cat> <lora:fur:0.5>"}, {"rect": [0.5, 1, 0, 1], "prompt": "two <k>"}],
 "loras": [{"name": "ink", "weight": 0.7}]}
END
check 'lines --tiles keeps what asks for LoRAs' prints 'column 1, row 1
  a cat <lora:fur:0.5> <lora:ink:0.7>

column 2, row 1
  two a cat <lora:ink:0.7>' lines lora.json --tiles 2x1
one_tile() { run 1 "$COUPLET" lines two.json --tiles 1x1 && lines_in "$err" 1 && has "$err" 'at least two'; }
check 'lines --tiles: one is none' one_tile
check 'lines --tokens' prints '  1     7/22  a "cat", night sky
  2     4/22  a sun, sunset' lines two.json --tokens
check 'lines --tokens --json' prints '{"lines": [
  "a \"cat\", night sky",
  "a sun, sunset"
], "tokens": [{"tokens": 7, "room": 22}, {"tokens": 4, "room": 22}]}' lines two.json --tokens --json
no_vocabulary() {
    run 1 env XDG_DATA_HOME="$work" "$COUPLET" lines two.json --tokens --model "$root/tests/golden/engine/sd1_tiny.safetensors" &&
        empty "$out" && has "$err" 'clip-vocab'
}
check 'lines --tokens: a model without a vocabulary' no_vocabulary
check 'lines' prints '  1  night sky
  2  a cat, night sky
  3  a boat' lines common.json
check 'masks --json' prints '{"grid": [4, 1], "masks": [
  [1, 0.33333334, 0, 0],
  [0, 0.6666667, 1, 1]
]}' masks two.json --json --grid 4x1
check 'masks' prints '1  a "cat", night sky
1.00 0.33 0.00 0.00
1.00 0.33 0.00 0.00

2  a sun, sunset
0.00 0.67 1.00 1.00
0.00 0.67 1.00 1.00' masks two.json --grid 4x2
check 'masks with a filled hole' prints '{"grid": [2, 1], "masks": [
  [1, 0],
  [0, 1]
]}' masks hole.json --json --grid 2x1
check 'masks of another canvas' prints '{"grid": [2, 1], "masks": [
  [1, 0],
  [0, 1]
]}' masks hole.json --json --grid 2x1 --size 32x24

clean() { run 0 "$COUPLET" check "$1" && empty "$out" && lacks "$err" 'error'; }
check 'check: nothing to say about errors' clean common.json
warned() { run 0 "$COUPLET" check warnings.json && empty "$out" && has "$err" "warnings.json: $1"; }
check 'check: an unknown key' warned 'surprise: warning: '
check 'check: a word that the model does not know' warned 'regions[1]: warning: the model does not know: zeppelin'
quiet_check() { run 0 "$COUPLET" check --quiet warnings.json && empty "$out" && empty "$err"; }
check 'check --quiet: no warnings' quiet_check
json_check() {
    run 0 "$COUPLET" check --json warnings.json && empty "$err" && has "$out" '{"problems": [' &&
        has "$out" '{"path": "surprise", "row": null, "severity": "warning", "message": "' &&
        has "$out" '{"path": "regions[1]", "row": 1, "severity": "warning", "message": "'
}
check 'check --json: warnings' json_check
check 'check --json: nothing' prints '{"problems": []}' check --json hole.json

map_text() {
    run 0 "$COUPLET" map hole.json && empty "$err" && harmless "$out" && has "$out" '111' && has "$out" '...' &&
        has "$out" ' 1   50.0 %  a cat' && has "$out" 'not covered by any region'
}
check 'map in letters' map_text
map_shares() { run 0 "$COUPLET" map two.json && has "$out" 'a sun, sunset' && has "$out" '22222'; }
check 'map of an overlap' map_shares
map_colors() { run 0 "$COUPLET" map hole.json --color always && has "$out" $'\e[' && lacks "$out" $'\eP'; }
check 'map in colours when asked for' map_colors
map_png() {
    run 0 "$COUPLET" map two.json --png map.png && [ "$(cat "$out")" = map.png ] && run 0 "$COUPLET" show map.png &&
        has "$out" 'map.png: 64x64 pixels'
}
check 'map as a PNG' map_png
plain_name() { # as it is, for a script
    local name=$'m\xe9\tp'
    run 0 "$COUPLET" map two.json --png "$name.png" && [ "$(cat "$out")" = "$name.png" ] && [ -s "$name.png" ] &&
        run 0 "$COUPLET" convert two.json "$name.json" && [ "$(cat "$out")" = "$name.json" ]
}
check 'map and convert print the name that they wrote' plain_name
show_blocks() { LC_ALL=C.UTF-8 run 0 "$COUPLET" show map.png --color always && has "$out" '▀' && has "$out" $'\e['; }
check 'show as half blocks when asked for' show_blocks

info_json() {
    run 0 "$COUPLET" info --json && empty "$err" && has "$out" '"name": "cpu"' && has "$out" '"name": "builtin"' &&
        has "$out" '"closed_vocabulary": true' && has "$out" '"terminal": null' && has "$out" '"version": "'
}
check 'info --json' info_json
# The manual's example names the built-in model's numbers, which change with it.
manual() {
    run 0 "$COUPLET" info --json && python3 - "$out" "$root/man/couplet.1" <<'E'
import json, sys
model, page = json.load(open(sys.argv[1]))["model"], open(sys.argv[2]).read()
for key, of in (("parameters", model["parts"][0]), ("parameters", model), ("packed_bytes", model)):
    assert f'"{key}": {json.dumps(of[key])}' in page, (key, of[key])
E
}
check "the manual's numbers of the built-in model" manual
info_text() { run 0 "$COUPLET" info && empty "$err" && has "$out" 'not a terminal' && has "$out" 'builtin'; }
check 'info' info_text
no_model() { run 1 "$COUPLET" info --model nowhere && empty "$out" && lines_in "$err" 1 && has "$err" nowhere; }
check 'info of a model that is not there' no_model
if command -v python3 >/dev/null; then
    valid_json() {
        for command in 'info' 'lines two.json' 'masks two.json --grid 3x5' 'check warnings.json' 'check hole.json'; do
            # shellcheck disable=SC2086
            run 0 "$COUPLET" $command --json && python3 -m json.tool "$out" >/dev/null || return 1
        done
    }
    check 'all JSON is JSON' valid_json
fi

# A locale with a decimal comma changes nothing.
if localedef -i de_DE -f UTF-8 "$work/de_DE.UTF-8" 2>/dev/null; then
    german() { env LOCPATH="$work" LC_ALL=de_DE.UTF-8 "$@"; }
    comma() { [ "$(german printf '%.1f' 1,5)" = 1,5 ]; }
    check 'the German locale works here' comma
    same() {
        "$COUPLET" "$@" >plain.txt 2>&1
        german "$COUPLET" "$@" >german.txt 2>&1
        [ -s plain.txt ] && cmp plain.txt german.txt
    }
    check 'German: masks' same masks two.json --json --grid 7x5
    check 'German: info' same info --json
    check 'German: check' same check warnings.json --json
    check 'German: map' same map hole.json
    german_usage() { run 2 env LOCPATH="$work" LC_ALL=de_DE.UTF-8 "$COUPLET" render two.json -o x.png --cfg 1,5; }
    check 'German: numbers on the command line have a point' german_usage
fi
finish
