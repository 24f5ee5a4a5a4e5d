#!/usr/bin/env bash
# LoRAs on the command line: tags and --lora make the same picture, names are found where couplet(1) says, what cannot be
# found or does not fit is an error in render and check, and info says what a file is.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
unset COUPLET_LORA_DIR XDG_DATA_HOME
export HOME=$work/home
mkdir -p "$HOME" loras/sub
make_lora() { # make_lora FILE SEED [MODULE OUT IN ...]: of rank 4, in kohya's naming
    local made=("$1" "$2")
    shift 2
    for (( ; $# >= 3; )); do
        made+=("$1.lora_down.weight" 4 "$3" "$1.lora_up.weight" "$2" 4)
        shift 3
    done
    "$BUILD/tests/cli/make_tensors" "${made[@]}" || exit 1
}
q=lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q
make_lora loras/style.safetensors 1 $q 64 64 lora_te_text_model_encoder_layers_0_mlp_fc1 384 96
make_lora loras/sub/shapes.safetensors 2 $q 64 64
make_lora loras/big.safetensors 3 lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k 1280 2048

layout() { # layout PROMPT [MORE]
    printf '{"couplet": 1, "canvas": {"width": 64, "height": 64}, "regions": [{"rect": [0, 0.5, 0, 1], "prompt": "a cat, night sky%s"},
 {"rect": [0.5, 1, 0, 1], "prompt": "a sun, sunset"}], "sampling": {"steps": 2, "seed": 42}%s}\n' "$1" "${2-}"
}
layout '' >plain.json
layout ' <lora:style:0.5>' >tag.json
layout '' ', "loras": [{"path": "loras/style.safetensors", "weight": 0.5}]' >list.json
layout ' <lora:stile:0.5>' >unknown.json
layout ' <lora:big:1>' >big.json
layout ' <lora:style:much>' >weight.json

renders() { run 0 "$COUPLET" render -o "$@" && [ -s "$1" ]; }
check 'without a LoRA' renders plain.png plain.json
by_tag() { renders tag.png tag.json --lora-dir loras && ! cmp -s plain.png tag.png; }
check 'a tag changes the picture' by_tag
pixels() { run 0 "$BUILD/tests/e2e/pngdiff" --most 0 "$1" "$2"; }
by_list() { renders list.png list.json && pixels tag.png list.png; }
check 'the list "loras" with a path: the same' by_list
by_option() { renders option.png plain.json --lora style:0.5 --lora-dir loras && pixels tag.png option.png; }
check '--lora NAME:WEIGHT: the same' by_option
by_file() { renders file.png plain.json --lora=loras/style.safetensors:0.5 && pixels tag.png file.png; }
check '--lora FILE:WEIGHT: the same' by_file
two() { renders two.png plain.json --lora style:0.5 --lora sub/shapes --lora-dir loras && ! cmp -s tag.png two.png; }
check '--lora twice' two
by_environment() { renders env.png tag.json && pixels tag.png env.png; }
COUPLET_LORA_DIR=loras check 'COUPLET_LORA_DIR' by_environment
by_config() {
    mkdir -p config/couplet && printf '# folders\nlora-dir %s/loras\n' "$work" >config/couplet/config &&
        XDG_CONFIG_HOME=$work/config renders configured.png tag.json && pixels tag.png configured.png
}
check 'a folder from the configuration' by_config
bad_config() { echo 'lora-dri x' >config/couplet/config && XDG_CONFIG_HOME=$work/config run 2 "$COUPLET" render tag.json -o never.png && has "$err" 'config:1: ' && has "$err" 'lora-dir' && absent never.png; }
check 'a configuration with a slip' bad_config
in_data() { mkdir -p "$HOME/.local/share/couplet" && ln -s "$work/loras" "$HOME/.local/share/couplet/loras" && by_environment; }
check 'the data folder' in_data
inside() { renders again.png two.png && cmp two.png again.png; }
check 'a picture is rendered again from the layout inside' inside
infotext() { run 0 "$COUPLET" show option.png && has "$out" 'a sun, sunset <lora:style:0.5>' && run 0 "$COUPLET" show tag.png && has "$out" 'night sky <lora:style:0.5>'; }
check 'the infotext has the tags' infotext
rm "$HOME/.local/share/couplet/loras"
lines() { run 0 "$COUPLET" lines tag.json --json && lacks "$out" lora && has "$out" '"a cat, night sky"'; }
check 'lines are without tags' lines

refused() { # refused LAYOUT WORDS...: by render and by check, in one line each
    local layout=$1 word
    shift
    run 1 "$COUPLET" render "$layout" -o never.png --lora-dir loras && lines_in "$err" 1 && absent never.png || return 1
    for word; do has "$err" "$word" || return 1; done
    run 1 "$COUPLET" check "$layout" --lora-dir loras && lines_in "$err" 1 || return 1
    for word; do has "$err" "$word" || return 1; done
}
check 'an unknown name' refused unknown.json 'unknown.json: regions[0].prompt: there is no LoRA "stile" in loras; did you mean "style"?'
check 'another family' refused big.json 'big.json: regions[0].prompt: ' 'was made for SDXL, but the model builtin is SD 1.x'
check 'a weight that is no number' refused weight.json 'weight.json: regions[0].prompt: ' '"much"'
row() { run 1 "$COUPLET" check unknown.json --lora-dir loras --json && has "$out" '"path": "regions[0].prompt", "row": 0'; }
check 'check --json tells the row' row
nowhere() { run 1 "$COUPLET" render tag.json -o never.png && has "$err" 'nor a folder with any' && absent never.png; }
check 'no folder at all' nowhere
bad_option() { run 1 "$COUPLET" render plain.json -o never.png --lora zzz --lora-dir loras && has "$err" 'loras[0]: there is no LoRA "zzz"' && absent never.png; }
check '--lora of an unknown name' bad_option
bad_folder() { run 1 "$COUPLET" render plain.json -o never.png --lora-dir nowhere && has "$err" '--lora-dir: there is no folder nowhere'; }
check '--lora-dir of a folder that is not there' bad_folder
clean() { run 0 "$COUPLET" check tag.json --lora-dir loras && empty "$err"; }
check 'check of what is right' clean

info() {
    run 0 "$COUPLET" info --lora style --lora loras/big.safetensors --lora-dir loras && has "$out" 'style, loras/style.safetensors' &&
        has "$out" 'LoRA of rank 4 for models of a family not known' && has "$out" 'layers that it adds to: 1 in the UNet, 1 in the text encoders' &&
        has "$out" 'LoRA of rank 4 for sdxl' && harmless "$out"
}
check 'info --lora' info
info_json() { run 0 "$COUPLET" info --json --lora loras/big.safetensors && python3 -c '
import json, sys
lora, = json.load(sys.stdin)["loras"]
assert lora["kind"] == "LoRA" and lora["family"] == "sdxl" and lora["rank"] == [4, 4] and lora["modules"] == {"unet": 1, "text": 0}
assert lora["usable"] is True and lora["parameters"] == 4 * (1280 + 2048) and lora["weights"] == "F32"' <"$out"; }
check 'info --lora --json' info_json
no_lora() { run 1 "$COUPLET" info --lora plain.json && lines_in "$err" 1; }
check 'info --lora of something else' no_lora
finish
