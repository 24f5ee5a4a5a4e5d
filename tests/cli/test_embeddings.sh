#!/usr/bin/env bash
# Textual inversion on the command line: a file's name in a text changes the picture, files are found where couplet(1) says, what
# does not fit is an error in render and check, and lines and info count its tokens.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
unset COUPLET_EMBEDDINGS_DIR XDG_DATA_HOME
export HOME=$work/home
mkdir -p "$HOME" embeddings/sub
make_embedding() { "$BUILD/tests/cli/make_tensors" "$@" || exit 1; }
make_embedding embeddings/EasyWords.safetensors 1 emb_params 3 96
make_embedding embeddings/sub/other-style.safetensors 2 '<other>' 1 96
make_embedding embeddings/wide.safetensors 3 emb_params 8 768
make_embedding embeddings/pair.safetensors 4 clip_l 2 768 clip_g 2 1280

layout() { # layout PROMPT [NEGATIVE]
    printf '{"couplet": 1, "canvas": {"width": 64, "height": 64}, "regions": [{"rect": [0, 0.5, 0, 1], "prompt": "a cat, night sky%s"},
 {"rect": [0.5, 1, 0, 1], "prompt": "a sun, sunset"}], "negative": "%s", "sampling": {"steps": 2, "seed": 42}}\n' "$1" "${2-}"
}
layout ', (easywords:1.2)' >named.json
layout ', embedding:other-style' 'easywords' >both.json
layout ', embedding:easyword' >unknown.json
layout ', wide' >wide.json

renders() { run 0 "$COUPLET" render -o "$@" && [ -s "$1" ]; }
pixels() { run 0 "$BUILD/tests/e2e/pngdiff" --most 0 "$1" "$2"; }
named() { renders words.png named.json && renders named.png named.json --embeddings-dir embeddings && ! cmp -s words.png named.png; }
check 'a name changes the picture' named
both() { renders both.png both.json --embeddings-dir embeddings && ! cmp -s named.png both.png; }
check 'in the negative, and with "embedding:" before it' both
same_there() { renders there.png named.json && pixels named.png there.png; }
COUPLET_EMBEDDINGS_DIR=embeddings check 'COUPLET_EMBEDDINGS_DIR' same_there
by_config() {
    mkdir -p config/couplet && printf 'embeddings-dir %s/embeddings\n' "$work" >config/couplet/config &&
        XDG_CONFIG_HOME=$work/config renders there.png named.json && pixels named.png there.png
}
check 'a folder from the configuration' by_config
in_data() { mkdir -p "$HOME/.local/share/couplet" && ln -s "$work/embeddings" "$HOME/.local/share/couplet/embeddings" && same_there; }
check 'the data folder' in_data
rm -f "$HOME/.local/share/couplet/embeddings"
inside() { renders again.png both.png --embeddings-dir embeddings && cmp both.png again.png; }
check 'a picture is rendered again from the layout inside' inside

tokens() {
    run 0 "$COUPLET" lines named.json --tokens --embeddings-dir embeddings && has "$out" '9/22' &&
        run 0 "$COUPLET" check named.json --embeddings-dir embeddings && lacks "$out" easywords && lacks "$err" easywords
}
check 'its vectors are tokens, its name is no unknown word' tokens

refused() { # refused LAYOUT WORDS...: by render and by check
    local layout=$1 word
    shift
    run 1 "$COUPLET" render "$layout" -o never.png --embeddings-dir embeddings && absent never.png || return 1
    for word in "$@"; do has "$err" "$word" || return 1; done
    run 1 "$COUPLET" check "$layout" --embeddings-dir embeddings || return 1
    for word in "$@"; do has "$err" "$word" || return 1; done
}
check 'a file for another model' refused wide.json 'regions[0].prompt' 'wide.safetensors' '768' '96'
check 'a name that no file has' refused unknown.json 'there is no embedding "easyword"' 'did you mean "EasyWords"'
no_folder() { run 1 "$COUPLET" check named.json --embeddings-dir nowhere && has "$err" nowhere; }
check 'a folder that is not there' no_folder

says() {
    run 0 "$COUPLET" info --embedding pair --embedding embeddings/wide.safetensors --embeddings-dir embeddings &&
        has "$out" '2 tokens' && has "$out" 'for sdxl' && has "$out" '8 tokens of 768 for sd1' &&
        run 0 "$COUPLET" info --json --embedding pair --embeddings-dir embeddings && has "$out" '"vectors": 2, "width": [768, 1280]'
}
check 'info says what a file is' says
no_file() { run 1 "$COUPLET" info --embedding paar --embeddings-dir embeddings && has "$err" 'did you mean "pair"'; }
check 'info of a name that no file has' no_file
finish
