#!/usr/bin/env bash
# Broken layouts: each command says in one clear line what is wrong, ends with 1 and writes nothing. Escape sequences from
# files, and from their names, never reach the terminal raw.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

big_endian() { printf '%08x' "$1" | sed 's/../\\x&/g'; }
# A PNG that claims to be of W x H grey pixels, and holds none.
png_header() {
    local ihdr crc
    ihdr="IHDR$(big_endian "$1")$(big_endian "$2")\\x08\\x00\\x00\\x00\\x00"
    # gzip ends with the CRC-32 in little-endian order
    # shellcheck disable=SC2059
    crc=$(printf "$ihdr" | gzip -c | tail -c 8 | head -c 4 | od -An -v -tx1 | awk '{print "\\x" $4 "\\x" $3 "\\x" $2 "\\x" $1}')
    # shellcheck disable=SC2059
    printf "\\x89PNG\\r\\n\\x1a\\n\\x00\\x00\\x00\\x0d$ihdr$crc"
}

layout() { printf '{"couplet": 1, "regions": [%s]}\n' "$2" >"$1.json"; }
right='{"rect": [0.5, 1, 0, 1], "prompt": "a sun"}'
echo '{"couplet": 1, "regions": [{"rect": [0, 0.5' >truncated.json
: >empty.json
echo 'a cat, night sky' >text.json
echo '[1, 2]' >list.json
printf '{"couplet": 1, "negative": "\xff\xfe", "regions": [{}]}' >latin.json
layout reversed '{"rect": [0.6, 0.5, 0, 1]}'", $right"
layout nan '{"rect": [NaN, 0.5, 0, 1]}'", $right"
layout text-number '{"rect": ["0", 0.5, 0, 1]}'", $right"
layout outside '{"rect": [0, 1.5, 0, 1]}'
layout negative-weight '{"weight": -1}'
layout huge-number '{"weight": 1e999}'
layout none ''
layout hole "$right"
layout five '{"rect": [0, 1, 0, 1, 1]}'
layout many "$(for ((i = 0; i < 9999; i++)); do printf '{},'; done) {}"
echo '{"couplet": 1, "mode": "magic", "regions": [{}]}' >mode.json
echo '{"couplet": 2, "regions": [{}]}' >newer.json
echo '{"couplet": 1, "canvas": {"width": 100, "height": 64}, "regions": [{}]}' >odd-size.json
echo '{"couplet": 1, "canvas": {"width": 80000, "height": 64}, "regions": [{}]}' >huge.json
echo '{"couplet": 1, "mode": "basic", "regions": [{"prompt": "a cat"}]}' >one-line.json
echo '{"couplet": 1, "prompt": "a;b;c", "separator": ";", "regions": [{}, {}]}' >count.json
echo '{"couplet": 1, "sampling": {"steps": 0}, "regions": [{}]}' >steps.json
echo '{"couplet": 1, "sampling": {"model": "nowhere.safetensors"}, "regions": [{}]}' >model.json
echo '{"couplet": 1, "mode": "mask", "regions": [{"mask": "gone.png"}]}' >mask-missing.json
cp text.json text.png && echo '{"couplet": 1, "mode": "mask", "regions": [{"mask": "text.png"}]}' >mask-text.json
png_header 60000 60000 >huge.png && echo '{"couplet": 1, "mode": "mask", "regions": [{"mask": "huge.png"}]}' >mask-huge.json
png_header 64 64 >cut.png && echo '{"couplet": 1, "mode": "mask", "regions": [{"mask": "cut.png"}]}' >mask-cut.json
echo '{"couplet": 1, "mode": "mask", "regions": [{"mask": "data:image/png;base64,AAAA"}]}' >mask-inline.json
layout escape '{"prompt": "a cat \u001b[31m \u001b]0;owned\u0007"}'
layout escape-c1 '{"prompt": "a cat \u009b31m"}'
printf '{"couplet": 1, "regions": [{"prompt": "a cat \x1b[31m"}]}' >escape-raw.json
echo '{"couplet": 1, "mode": "mask", "regions": [{"mask": "\u001b]0;x\u0007.png"}]}' >escape-mask.json
echo '{"couplet": 1, "sampling": {"sampler": "\u001b[5m"}, "regions": [{}]}' >escape-name.json
echo '{"couplet": 1, "sampling": {"model": "\u001b[5m.safetensors"}, "regions": [{}]}' >escape-model.json
mkdir folder.json

# case NAME WORDS: what check and render say about NAME.json
one_line() { # one_line FILE WORDS COMMAND...
    local file=$1 words=$2
    shift 2
    run 1 "$COUPLET" "$@" && empty "$out" && lines_in "$err" 1 && has "$err" "$file: " && has "$err" "$words" && harmless "$err"
}
case_() {
    check "check $1" one_line "$1.json" "$2" check "$1.json"
    check "render $1" one_line "$1.json" "$2" render "$1.json" -o out.png
    check "render $1 wrote nothing" absent out.png
}
case_ truncated 'line '
case_ empty ''
case_ text 'line 1'
case_ list 'object'
case_ latin 'UTF-8'
case_ reversed 'regions[0].rect: '
case_ nan ''
case_ text-number 'regions[0].rect[0]: '
case_ outside 'regions[0].rect[1]: '
case_ negative-weight 'regions[0].weight: '
case_ huge-number 'weight'
case_ none 'regions: '
case_ hole 'regions: '
case_ five 'regions[0].rect: '
case_ many 'regions: has 10000'
case_ mode 'mode: '
case_ newer 'couplet: '
case_ odd-size 'canvas.width: '
case_ huge 'canvas.width: '
case_ one-line 'regions: '
case_ count 'prompt: '
case_ steps 'sampling.steps: '
case_ model 'sampling.model: '
case_ mask-missing 'regions[0].mask: '
case_ mask-text 'regions[0].mask: '
case_ mask-huge 'regions[0].mask: '
case_ mask-cut 'regions[0].mask: '
case_ mask-inline 'regions[0].mask: '
case_ escape 'regions[0].prompt: '
case_ escape-c1 'regions[0].prompt: '
case_ escape-raw ''
case_ escape-mask 'regions[0].mask: '
case_ escape-name 'sampling.sampler: '
case_ escape-model 'sampling.model: '
case_ folder ''
case_ missing ''

check 'all commands: lines' one_line truncated.json 'line ' lines truncated.json
check 'all commands: masks' one_line hole.json 'regions: ' masks hole.json --grid 4x4
check 'all commands: map' one_line reversed.json 'regions[0].rect' map reversed.json
check 'all commands: the editor' one_line newer.json 'couplet: ' newer.json
not_a_picture() { run 1 "$COUPLET" show "$1" && empty "$out" && lines_in "$err" 1 && has "$err" "$1" && harmless "$err"; }
check 'show of a text' not_a_picture text.png
check 'show of a picture too large' not_a_picture huge.png
check 'show of a picture cut off' not_a_picture cut.png
check 'show of nothing' not_a_picture gone.png
not_stats() { run 1 "$COUPLET" stats "$1" && empty "$out" && lines_in "$err" 1 && harmless "$err"; }
check 'stats of a text' not_stats text.json
check 'stats of nothing' not_stats gone.json
echo '{"a": 1} and more' >more.json
printf '{"a": "\033[31m"}' >control.json
printf '{"a": 1}\0{' >zero.json
for file in more control zero; do
    not_json() { run 1 "$COUPLET" stats --json "$file".json && empty "$out" && lines_in "$err" 1; }
    check "stats --json of $file.json" not_json
done

# Nothing of a JSON finding is a control character either, and the status is the same.
json_finding() {
    run 1 "$COUPLET" check --json "$1.json" && empty "$err" && has "$out" '"severity": "error"' && has "$out" "$2" && harmless "$out"
}
check 'check --json reversed' json_finding reversed '"path": "regions[0].rect", "row": 0'
check 'check --json truncated' json_finding truncated '"row": null'
check 'check --json escape-name' json_finding escape-name '"path": "sampling.sampler"'
check 'check --json escape' json_finding escape '"path": "regions[0].prompt", "row": 0'

# Escape sequences in the names of files.
evil=$'evil\e]0;x\a.json'
cp reversed.json "$evil"
name_is_safe() {
    run "$1" "$COUPLET" "${@:2}" && harmless "$err" && has "$err" 'evil?]0;x?.json' && lacks "$err" '.json: evil'
}
check 'a name: check' name_is_safe 1 check "$evil"
check 'a name: render' name_is_safe 1 render "$evil" -o out.png
check 'a name: lines' name_is_safe 1 lines "$evil"
check 'a name: the editor' name_is_safe 1 "$evil"
check 'a name: stats' name_is_safe 1 stats "$evil.gone"
check 'a name: show' name_is_safe 1 show "$evil"

# Places that cannot be written.
layout fine '{"prompt": "a cat, night sky"}'
cannot_write() { run 1 "$COUPLET" render fine.json --steps 1 -o "$1" && empty "$out" && lines_in "$err" 1 && has "$err" 'cannot write'; }
check 'a folder that is not there' cannot_write nowhere/out.png
check 'a folder as the picture' cannot_write folder.json
# Told before the run, which may take minutes.
before() {
    cannot_write "$@" && lacks "$err" loaded && run 1 "$COUPLET" render fine.json --steps 1 -o "$1" && empty "$out"
}
check 'a folder that is to be' before new/
check 'a file as a folder' before fine.json/
check 'a name that is too long' before "$(printf 'x%.0s' {1..300}).png"
mkdir many-2.png
batch() { run 1 "$COUPLET" render fine.json --steps 1 --batch 3 -o many.png && empty "$out" && lines_in "$err" 1 && has "$err" 'many-2.png' && absent many-1.png; }
check 'a folder where the second of a batch would lie' batch
check 'no temporary file is left' bash -c '! ls -A | grep -E "^\.?out\.png|tmp"'
finish
