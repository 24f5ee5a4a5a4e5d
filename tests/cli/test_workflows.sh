#!/usr/bin/env bash
# couplet-workflows(7), command by command: what stands behind a "$ " there is run as it stands, in a home like that of somebody who
# has Forge, with the tiny checkpoints in place of the models and pictures of 128 pixels. Key scripts run in a pseudo terminal.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
page=$root/man/couplet-workflows.7
export HOME=$work/home
unset XDG_DATA_HOME XDG_CONFIG_HOME XDG_STATE_HOME
models=$HOME/stable-diffusion-webui-forge/models/Stable-diffusion
brought=$HOME/stable-diffusion-webui-forge/backend/huggingface/runwayml/stable-diffusion-v1-5
mkdir -p "$models" "$brought" bin
ln -s "$COUPLET" bin/couplet
export PATH=$work/bin:$PATH
"$root/tests/cli/tiny-models" "$work/made" sd1_tiny.safetensors=dreamshaper_8.safetensors sdxl_tiny.safetensors=sd_xl_base_1.0.safetensors &&
    mv "$work"/made/*.safetensors "$models" && mv "$work/made/tokenizer" "$brought" || exit 1

# A picture as Forge leaves it: nothing inside but its own text.
pictures=$HOME/stable-diffusion-webui-forge/outputs/txt2img-images
mkdir -p "$pictures"
python3 - "$pictures/picture.png" <<'END' || exit 1
import struct, sys, zlib
text = """a cat on a wall
a lighthouse
Negative prompt: blurry
Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 1234, Size: 128x128, Model hash: 879db523c3, Model: dreamshaper_8, forge_couple: True, forge_couple_compatibility: True, forge_couple_mode: Advanced, forge_couple_separator: \\n, forge_couple_mapping: "[[0.0, 0.5, 0.0, 1.0, 1.0], [0.5, 1.0, 0.0, 1.0, 1.0]]", forge_couple_common_parser: { }, forge_couple_def_in_prompt: True, Version: f2.0.1v1.10.1"""
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
open(sys.argv[1], "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) +
    chunk(b"tEXt", b"parameters\0" + text.encode()) + chunk(b"IDAT", zlib.compress(bytes(25 * 8))) + chunk(b"IEND", b""))
END

# One command a file, commands/NNN; a line behind "> " belongs to the command before it.
mkdir commands
awk '/^\$ /  { n++; print substr($0, 3) > sprintf("commands/%03d", n); next }
     /^> |^>$/ { print substr($0, 3) > sprintf("commands/%03d", n) }' "$page"
# small pictures, few steps: what is shown is that the commands work
sed -i -E 's/1024x1024|512x512|256x256/128x128/; s/("width"|"height"): 512/\1: 128/g; s/(--steps|"steps":) [0-9]+/\1 3/' commands/*

cd_to=$HOME
for command in commands/*; do
    command=$work/$command
    name=$(head -n 1 "$command")
    case $name in "cd ~/"*) cd_to=$HOME/${name#cd \~/} && continue ;; esac
    # an editor needs a terminal
    terminal=()
    grep -q -- --keys "$command" && terminal=("$BUILD/tests/e2e/pty" 100x30)
    as_it_stands() { run 0 "${terminal[@]}" bash -c "cd '$cd_to' && . '$command'" && lacks "$err" 'warning'; }
    check "$ $name" as_it_stands
done
count() { [ "$(find commands -type f | wc -l)" -ge 20 ]; }
check 'the page has its commands' count
wrote() { for file in harbour draft again map more-1 more-4 large forge third batch-3; do [ -s "$models/$file.png" ] || { echo "      no $file.png" && return 1; }; done; }
check 'the pictures are there' wrote
dumped() { [ -s "$models/stages/steps.safetensors" ]; }
check 'the stages are there' dumped
edited() {
    local scenes=$HOME/scenes
    has "$scenes/scene.json" 'a sun, sunset' && has "$scenes/painted.json" 'data:image/png' && has "$scenes/other.json" 'a boat, sea' &&
        has "$scenes/scene.json" 'with a hat' && has "$scenes/presets.json" harbour
}
check 'the scenes are as the keys made them' edited
taken() { (cd "$models" && run 0 "$COUPLET" check same.json && has same.json '[0.5, 1.0, 0.0, 1.0]' && has same.json '"nv"'); }
check 'a picture of Forge is taken up with its regions and its model' taken
told() {
    couplet show "$models/forge.png" >"$out" && has "$out" 'Sampler: Euler a' && has "$out" 'Schedule type: Automatic' &&
        has "$out" 'Seed: 1234' && has "$out" 'RNG: NV'
}
check 'the picture tells its settings in the words of Forge' told
finish
