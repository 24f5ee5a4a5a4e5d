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
told() {
    couplet show "$models/forge.png" >"$out" && has "$out" 'Sampler: Euler a' && has "$out" 'Schedule type: Automatic' &&
        has "$out" 'Seed: 1234' && has "$out" 'RNG: NV'
}
check 'the picture tells its settings in the words of Forge' told
finish
