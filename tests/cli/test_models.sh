#!/usr/bin/env bash
# Models as a user names them: files, VAEs of their own, and files that are something else.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tiny=$root/tests/golden/engine/sd1_tiny.safetensors xl=$root/tests/golden/engine/sdxl_tiny.safetensors
builtin=$root/core/model/builtin/builtin.safetensors words=$root/core/model/builtin
export HOME=$work XDG_DATA_HOME=$work/data

# st FILE HEADER [BYTES]: a safetensors file with this header and so many bytes of data
st() {
    python3 - "$@" <<'E'
import struct, sys
header = sys.argv[2].encode()
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<Q", len(header)) + header + bytes(int(sys.argv[3]) if len(sys.argv) > 3 else 0))
E
}

tells() {
    run 0 "$COUPLET" info --model "$xl" && has "$out" 'sdxl_tiny (sdxl)' && has "$out" 'text 2' && has "$out" 'unet' && has "$out" 'F16' &&
        has "$out" 'predicts epsilon' && has "$out" 'tokenizer: missing' && has "$out" '--tokenizer'
}
check 'info tells parts and what is missing' tells
json() {
    run 0 "$COUPLET" info --model "$tiny" --vae "$xl" --tokenizer "$words" --json && python3 - "$out" "$xl" "$words" <<'E'
import json, sys
m = json.load(open(sys.argv[1]))["model"]
assert m["family"] == "sd1" and [p["name"] for p in m["parts"]] == ["text", "unet", "vae"], m
assert m["parts"][2]["file"] == sys.argv[2] and m["tokenizer"] == sys.argv[3], m
assert sum(p["parameters"] for p in m["parts"]) == m["parameters"], m
assert m["packed_bytes"]["bf16"] < m["packed_bytes"]["f32"] < 4 * m["parameters"], m
E
}
check 'info --json with a VAE of its own' json

# refused FILE 'WORDS': one line, which names the file and says WORDS
refused() { run 1 "$COUPLET" info --model "$1" && empty "$out" && lines_in "$err" 1 && has "$err" "${1##*/}" && has "$err" "$2" && harmless "$err"; }
printf 'PK\003\004%26sarchive/data.pkl' '' >zip.ckpt
printf '\200\004\225abcdefghijklmnopqrstuvwxyz' >pickle.pt
printf 'GGUF\003\000\000\000\000\000\000\000\000' >model.gguf
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2\n' >lfs.safetensors
printf '\n<!DOCTYPE html>\n<html><body>Sign in</body></html>' >page.safetensors
printf '{"error": "Unauthorized", "message": "log in"}' >error.safetensors
: >nothing.safetensors
check 'a zip of pickles' refused zip.ckpt 'PyTorch checkpoint'
check 'a pickle' refused pickle.pt 'can run code'
check 'GGUF' refused model.gguf 'GGUF'
check 'a Git LFS pointer' refused lfs.safetensors 'git lfs pull'
check 'a web page' refused page.safetensors 'web page'
check 'an answer of a server' refused error.safetensors 'JSON'
check 'an empty file' refused nothing.safetensors 'empty'
check 'a missing file' refused gone.safetensors 'cannot open'
check 'a folder' refused . 'model_index.json'

one='"dtype":"F32","shape":[1],"data_offsets":[0,4]'
st lora.safetensors "{\"lora_unet_down_blocks_0.lora_up.weight\":{$one}}" 4
st control.safetensors "{\"control_model.time_embed.0.weight\":{$one}}" 4
st embedding.safetensors "{\"clip_g\":{$one}}" 4
st flux.safetensors "{\"model.diffusion_model.double_blocks.0.img_attn.qkv.weight\":{$one}}" 4
st sd3.safetensors "{\"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight\":{$one}}" 4
st vae.safetensors "{\"decoder.conv_out.weight\":{$one}}" 4
st twice.safetensors "{\"a\":{$one},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}" 8
st overlap.safetensors "{\"a\":{$one},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}" 6
st beyond.safetensors '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 8
st hole.safetensors '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' 8
st huge.safetensors '{"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,4]}}' 4
st product.safetensors '{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}' 0
st nan.safetensors '{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}' 4
st deep.safetensors "$(printf '[%.0s' $(seq 20000))" 4
st escape.safetensors "{\"\\u001b[5m\":{$one}}" 4
printf '\000\000\000\200\000\000\000\000{"a":1}' >twogigabytes.safetensors
head -c 3000 "$tiny" >cutheader.safetensors
head -c 400000 "$tiny" >cut.safetensors
check 'a LoRA' refused lora.safetensors 'a LoRA'
check 'a ControlNet' refused control.safetensors 'a ControlNet'
check 'an embedding' refused embedding.safetensors 'textual inversion'
check 'Flux' refused flux.safetensors 'Flux'
check 'SD 3' refused sd3.safetensors 'SD 3'
check 'a VAE alone' refused vae.safetensors '--vae'
check 'a name twice' refused twice.safetensors 'twice'
check 'offsets that overlap' refused overlap.safetensors 'overlaps'
check 'offsets past the end' refused beyond.safetensors 'ends before'
check 'a hole' refused hole.safetensors 'hole'
check '2^63 values' refused huge.safetensors 'impossible shape'
check 'a product that overflows' refused product.safetensors 'impossible shape'
check 'a size that is no number' refused nan.safetensors 'no whole number'
check 'deep JSON' refused deep.safetensors 'damaged'
check 'a name with control characters' refused escape.safetensors 'no UNet'
check 'a header of 2 GB' refused twogigabytes.safetensors '2147483648 bytes'
check 'a cut header' refused cutheader.safetensors 'cut off'
check 'a cut file' refused cut.safetensors 'ends before its tensor'

# kind FILE OLD NEW: the tiny checkpoint with a name in another place; with NEW a number, the second side of the tensor OLD; with
# DROP without those tensors. Such kinds differ from what can be used only in a shape or a name.
kind() {
    python3 - "$tiny" "$@" <<'E'
import json, struct, sys
source, to, old, new = sys.argv[1:]
data = open(source, "rb").read()
n = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + n])
header.pop("__metadata__")
kept, blob = {}, b""
for name, e in header.items():
    a, b = e["data_offsets"]
    values = data[8 + n + a:8 + n + b]
    if new == "DROP" and old in name: continue
    if new.isdigit() and name == old:
        values = values[:len(values) // e["shape"][1]] * int(new)
        e["shape"][1] = int(new)
    elif not new.isdigit():
        name = name.replace(old, new)
    kept[name] = {"dtype": e["dtype"], "shape": e["shape"], "data_offsets": [len(blob), len(blob) + len(values)]}
    blob += values
head = json.dumps(kept).encode()
open(to, "wb").write(struct.pack("<Q", len(head)) + head + blob)
E
}
first=model.diffusion_model.input_blocks.0.0.weight
embedding=text_model.embeddings.token_embedding
kind inpaint.safetensors $first 9
kind edit.safetensors $first 8
kind sd2.safetensors cond_stage_model.transformer.$embedding cond_stage_model.model.token_embedding
kind refiner.safetensors cond_stage_model.transformer.$embedding conditioner.embedders.0.model.token_embedding
kind lacking.safetensors middle_block.2 DROP
kind novae.safetensors first_stage_model DROP
kind notext.safetensors cond_stage_model DROP
check 'inpainting' refused inpaint.safetensors 'inpainting'
check 'editing by instruction' refused edit.safetensors '8 channels'
check 'SD 2.x' refused sd2.safetensors 'SD 2.x'
check 'the refiner' refused refiner.safetensors "refiner"
check 'missing tensors' refused lacking.safetensors 'middle_block.2.in_layers.0.weight and 9 more are missing'
check 'no VAE' refused novae.safetensors 'give one with --vae'
check 'no text encoder' refused notext.safetensors 'text encoder'

echo '{"couplet": 1, "canvas": {"width": 64, "height": 64}, "regions": [{"prompt": "a cat"}], "sampling": {"steps": 2}}' >a.json
early() { run 1 "$COUPLET" render a.json -o a.png --model "$tiny" && absent a.png && has "$err" 'make clip-vocab' && has "$err" '--tokenizer'; }
check 'a model without tokenizer' early
# The tiny checkpoint with words for 70 million parameters, which are a hole in the file.
python3 - "$tiny" large.safetensors <<'E'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + n])
words = next(name for name in header if name.endswith("token_embedding.weight"))
begin, end = header[words]["data_offsets"]
rows, width = header[words]["shape"]
many = 70000000 // width
more = (end - begin) // rows * many - (end - begin)
spec = json.loads(header["__metadata__"]["couplet.spec"])
spec["text"][0]["vocab_size"] = header[words]["shape"][0] = many
header["__metadata__"]["couplet.spec"] = json.dumps(spec)
for name, e in header.items():
    if name != "__metadata__": e["data_offsets"] = [at + more if at >= end else at for at in e["data_offsets"]]
header[words]["data_offsets"] = [begin, end + more]
head = json.dumps(header).encode()
with open(sys.argv[2], "wb") as f:
    f.write(struct.pack("<Q", len(head)) + head + data[8 + n:8 + n + end])
    f.seek(more, 1)
    f.write(data[8 + n + end:])
E
check_without() {
    run 1 "$COUPLET" check a.json --model "$1" && lines_in "$err" 1 && has "$err" 'a.json: sampling.model: ' && has "$err" '--tokenizer' &&
        run 1 "$COUPLET" check a.json --model "$1" --tokenizer /usr && has "$err" 'vocab.json'
}
check 'check of a model without tokenizer' check_without "$tiny"
check 'check of a large model without tokenizer' check_without large.safetensors
"$root/tests/cli/tiny-models" known sd1_tiny.safetensors=sd1.safetensors && mv known/sd1.safetensors .
check_with() { run 0 "$COUPLET" check a.json --model "$1" --tokenizer known/tokenizer && empty "$err"; }
check 'check of a model with a tokenizer' check_with sd1.safetensors
check 'check of a large model with a tokenizer' check_with large.safetensors
check_other() { run 1 "$COUPLET" check a.json --model sd1.safetensors --tokenizer "$words" && has "$err" 'a.json: sampling.model: ' && has "$err" 'choose its own'; }
check "check of a model with another's tokenizer" check_other
# render PNG OPTIONS...: the pixels alone go to PNG.pixels, without what the file says of itself
render() {
    run 0 "$COUPLET" render a.json -o "$1" -q "${@:2}" && python3 - "$1" <<'E'
import sys, zlib
data, at, pixels = open(sys.argv[1], "rb").read(), 8, b""
while at < len(data):
    n = int.from_bytes(data[at:at + 4], "big")
    if data[at + 4:at + 8] == b"IDAT": pixels += data[at + 8:at + 8 + n]
    at += 12 + n
open(sys.argv[1] + ".pixels", "wb").write(zlib.decompress(pixels))
E
}
same() { cmp "$1.pixels" "$2.pixels"; }
check 'the built-in model' render in.png
as_file() { render file.png --model "$builtin" && same in.png file.png; }
check 'the built-in model as a file' as_file
own_vae() { render vae.png --vae "$builtin" && same in.png vae.png; }
check 'its VAE as a file' own_vae
foreign() { run 1 "$COUPLET" render a.json -o b.png --vae vae.safetensors && absent b.png && lines_in "$err" 1 && has "$err" 'vae.safetensors holds no VAE'; }
check 'a VAE that is none' foreign
vae_by_its_name() {
    echo '{"couplet": 1, "regions": [{"prompt": "a cat"}], "sampling": {"vae": "gone.safetensors"}}' >gone.json
    run 1 "$COUPLET" check gone.json && has "$err" 'gone.json: sampling.vae: gone.safetensors: ' &&
        run 1 "$COUPLET" render gone.json -o b.png && has "$err" 'gone.json: sampling.vae: ' &&
        run 1 "$COUPLET" render a.json -o b.png --model builtin --vae gone.safetensors && has "$err" '--vae: gone.safetensors' &&
        sed 's/"vae"/"model"/' gone.json >lost.json && run 1 "$COUPLET" render lost.json -o b.png --vae "$builtin" &&
        has "$err" 'lost.json: sampling.model: '
}
check 'a VAE that is not there is told as the VAE' vae_by_its_name
changes() { render v.png --prediction v && render z.png --prediction v_zsnr && ! same in.png v.png >/dev/null && ! same v.png z.png >/dev/null; }
check 'prediction changes the picture' changes
says_the_same() { render e.png --prediction epsilon && same in.png e.png; }
check 'prediction that says the same' says_the_same
names() { run 2 "$COUPLET" render a.json -o b.png --prediction x0 && has "$err" 'epsilon, v, v_zsnr'; }
check 'unknown prediction' names
echo '{"couplet": 1, "regions": [{"prompt": "a cat"}], "sampling": {"prediction": "x0"}}' >p.json
in_layout() { run 1 "$COUPLET" check p.json && has "$err" 'sampling.prediction: must be "epsilon", "v" or "v_zsnr"'; }
check 'unknown prediction in a layout' in_layout
finish
