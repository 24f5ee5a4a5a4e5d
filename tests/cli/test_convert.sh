#!/usr/bin/env bash
# couplet convert: layouts, pictures' layouts, Forge Couple's presets.json, both ways.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

cat >a.json <<'END'
{"couplet": 1, "canvas": {"width": 64, "height": 64}, "sampling": {"steps": 2, "seed": 3},
 "regions": [{"rect": [0, 0.3, 0, 1], "prompt": "a cat"}, {"rect": [0.3, 1, 0, 1], "weight": 0.7, "prompt": "a sun"}]}
END
value() { python3 -c 'import json, sys; l = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }
same() { [ "$1" = "$2" ] || { printf '      %s\n   is not %s\n' "$1" "$2" && return 1; }; }

written() {
    run 0 "$COUPLET" convert a.json presets.json --preset mine && has "$out" presets.json &&
        same "$(value presets.json 'l')" "{'mine': [[0, 0.3, 0, 1, 1], [0.3, 1, 0, 1, 0.7]]}"
}
check 'a layout becomes a preset' written
added() { run 0 "$COUPLET" convert a.json presets.json --preset other && same "$(value presets.json 'sorted(l)')" "['mine', 'other']"; }
check 'the presets that are there stay' added
named() { run 1 "$COUPLET" convert presets.json b.json && has "$err" other && absent b.json; }
check 'of several one must be named' named
back() {
    run 0 "$COUPLET" convert --preset mine presets.json b.json &&
        same "$(value b.json '[r["rect"] for r in l["regions"]], l["regions"][1]["weight"]')" '([[0.0, 0.3, 0.0, 1.0], [0.3, 1.0, 0.0, 1.0]], 0.7)'
}
check 'a preset becomes a layout' back
picture() {
    run 0 "$COUPLET" render --quiet a.json -o a.png && run 0 "$COUPLET" convert a.png c.json &&
        same "$(value c.json '[r["prompt"] for r in l["regions"]]')" "['a cat', 'a sun']"
}
check "a picture's layout comes out" picture
elsewhere() {
    mkdir -p home other && run 0 "$COUPLET" render --quiet a.json -o home/white.png &&
        echo '{"couplet": 1, "mode": "basic", "img2img": {"image": "white.png"}, "regions": [{"prompt": "a"}, {"prompt": "b"}]}' >home/l.json &&
        run 0 "$COUPLET" convert home/l.json other/l.json && run 0 "$COUPLET" check other/l.json &&
        same "$(value other/l.json 'l["img2img"]["image"]')" "$PWD/home/white.png" &&
        run 0 "$COUPLET" convert home/l.json home/m.json && same "$(value home/m.json 'l["img2img"]["image"]')" white.png
}
check 'what a layout names is found from another folder' elsewhere
spared() {
    cp a.png kept.png && run 1 "$COUPLET" convert a.json kept.png && lines_in "$err" 1 && has "$err" 'kept.png is a picture' &&
        run 1 "$COUPLET" convert kept.png kept.png && cmp a.png kept.png &&
        cp presets.json kept.json && run 1 "$COUPLET" convert a.json kept.json && has "$err" '--preset NAME' &&
        run 1 "$COUPLET" convert --preset mine kept.json kept.json && cmp presets.json kept.json && run 0 "$COUPLET" convert a.json b.json
}
check 'neither a picture nor a file of presets is replaced by a layout' spared
cat >webui.txt <<'END'
a cat
a sun, {x: red}
Negative prompt: blurry
Steps: 3, Sampler: DPM++ 2M Karras, CFG scale: 4, Seed: 7, Size: 64x64, Model: builtin, Hires sampler: Heun, forge_couple: True, forge_couple_mode: Basic, forge_couple_separator: \n, forge_couple_direction: Vertical, forge_couple_background: None, forge_couple_background_weight: 0.5, forge_couple_common_parser: { }, forge_couple_def_in_prompt: True
END
webui() {
    run 0 "$COUPLET" convert webui.txt w.json && has "$err" 'webui.txt: warning: ' && has "$err" 'cannot do: Hires sampler Heun' && lines_in "$err" 1 &&
        same "$(value w.json 'l["mode"], l["direction"], l["negative"], l["sampling"]["schedule"], l["sampling"]["rng"]')" \
            "('basic', 'vertical', 'blurry', 'karras', 'nv')" && run 0 "$COUPLET" lines w.json && has "$out" '  2  a sun, red' &&
        run 0 "$COUPLET" render --quiet webui.txt -o w.png && empty "$err" && run 0 "$COUPLET" check webui.txt && has "$err" 'Hires'
}
check "the WebUI's text about a picture becomes a layout" webui
unknown() { run 1 "$COUPLET" convert --preset none presets.json d.json && has "$err" '"none"' && absent d.json; }
check 'a preset that is not there' unknown
bare() {
    printf '{"mode": "basic", "prompt": "a cat\\na sun"}' >bare.json
    run 0 "$COUPLET" check bare.json && run 0 "$COUPLET" convert bare.json e.json && same "$(value e.json 'l["prompt"]')" "$(printf 'a cat\na sun')"
}
check 'a layout of one prompt, without version and regions' bare
basic() {
    echo '{"couplet": 1, "mode": "basic", "regions": [{"prompt": "a"}, {"prompt": "b"}]}' >basic.json
    run 1 "$COUPLET" convert basic.json p.json --preset x && has "$err" 'advanced mode' && absent p.json
}
check 'tiles have no mapping' basic
finish
