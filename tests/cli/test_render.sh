#!/usr/bin/env bash
# `couplet render` with the built-in model: the same bytes each time, options that override, what stands in the PNG, and
# that nothing is written when it fails or is interrupted.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
pngdiff=$BUILD/tests/e2e/pngdiff

cat >two.json <<'END'
{"couplet": 1, "regions": [
  {"rect": [0, 0.5, 0, 1], "prompt": "a cat, night sky"},
  {"rect": [0.5, 1, 0, 1], "prompt": "a sun, sunset"}],
 "sampling": {"steps": 4, "seed": 42}}
END
sed 's/"steps": 4, "seed": 42/"steps": 3, "seed": 7, "cfg": 2.5, "sampler": "dpmpp_2m", "schedule": "normal"/' two.json |
    sed 's/"couplet": 1,/"couplet": 1, "canvas": {"width": 64, "height": 96},/' >other.json
sed 's/"seed": 42/"seed": -1/' two.json >drawn.json
sed 's/"steps": 4/"steps": 1000/' drawn.json >long.json
sed 's/a sun, sunset/a zeppelin/' two.json >unknown.json

renders() { # renders OUT ARGUMENT...: the path on stdout
    run 0 "$COUPLET" render -o "$@" && [ "$(cat "$out")" = "$1" ] && [ -s "$1" ]
}
check 'render prints the path' renders a.png two.json
no_bar() { lacks "$err" 'step ' && harmless "$err"; }
check 'no progress bar where stderr is no terminal' no_bar
again() { renders b.png two.json && cmp a.png b.png; }
check 'twice: the same bytes' again
quiet() { run 0 "$COUPLET" render --quiet two.json -o q.png && empty "$out" && empty "$err" && cmp a.png q.png; }
check '--quiet: nothing is printed' quiet
threads() {
    renders t1.png two.json --threads 1 && renders t2.png two.json --threads 2 && run 0 "$pngdiff" --most 1 t1.png t2.png
}
check 'threads 1 and 2: at most 1 of 255 apart' threads
not_the_same() { renders c.png "$@" && ! cmp -s a.png c.png && ! "$pngdiff" --most 1 a.png c.png >/dev/null 2>&1; }
check 'another seed: another picture' not_the_same two.json --seed 43
check 'another layout: another picture' not_the_same unknown.json
overridden() {
    renders o1.png other.json && renders o2.png two.json --steps 3 --seed 7 --cfg 2.5 --sampler dpmpp_2m --schedule normal \
        --size 64x96 && run 0 "$pngdiff" --most 0 o1.png o2.png
}
check 'options override the layout' overridden
sized() { run 0 "$COUPLET" show o1.png && has "$out" 'o1.png: 64x96 pixels, made by couplet'; }
check 'the size is the canvas' sized

infotext() {
    run 0 "$COUPLET" show a.png && has "$out" 'a cat, night sky' && has "$out" 'Steps: 4' && has "$out" 'Seed: 42' &&
        has "$out" 'Sampler: Euler' && has "$out" 'Size: 128x128'
}
check 'the infotext is inside' infotext
inside() { renders d.png a.png && cmp a.png d.png; }
check 'a picture is rendered again from the layout inside' inside
override_inside() { renders o3.png o2.png && cmp o2.png o3.png; }
check 'the layout inside has the overridden values' override_inside

drawn() {
    run 0 "$COUPLET" render drawn.json -o r.png && seed=$(sed -n 's/^couplet: seed //p' "$err") && [ -n "$seed" ] &&
        "$COUPLET" show r.png | grep -q "Seed: $seed," && renders r2.png two.json --seed "$seed" &&
        run 0 "$pngdiff" --most 0 r.png r2.png
}
check 'seed -1 draws one, tells it and records it' drawn
warned() { renders u.png unknown.json && has "$err" 'unknown.json: regions[1]: warning: the model does not know: zeppelin'; }
check 'an unknown word is a warning' warned

batch() {
    run 0 "$COUPLET" render two.json -o many.png --batch 3 && [ "$(cat "$out")" = "$(printf 'many-%d.png\n' 1 2 3)" ] &&
        absent many.png && renders alone.png two.json --seed 44 && cmp alone.png many-3.png && renders again.png many-2.png &&
        cmp again.png many-2.png
}
check '--batch: one file for each seed, each as if made alone' batch
# The reader of the pipe has a name while the pictures after it are still to come: here it stops the run.
at_once() {
    "$COUPLET" render two.json -o early.png --steps 4 --batch 30 2>"$err" </dev/null | { read -r name && [ "$name" = early-1.png ]; } &&
        [ -s early-1.png ] && absent early-30.png
}
check '--batch: each name is printed at once' at_once
one_of_a_batch() { renders dir.d/one.png two.json --batch 1; }
mkdir dir.d
check '--batch 1: the name as it is' one_of_a_batch
dotless() { run 0 "$COUPLET" render two.json -o dir.d/plain --batch 2 && [ -s dir.d/plain-1 ] && [ -s dir.d/plain-2 ]; }
check '--batch: a name without an ending' dotless
renders picture.png two.json --seed 9
check '--init: another picture' not_the_same two.json --init picture.png --denoise 0.5
enlarged() {
    sed 's/"regions"/"hires": {"scale": 1.5, "steps": 2, "denoise": 0.5, "upscaler": "lanczos"}, "regions"/' two.json >large.json &&
        renders h1.png large.json && renders h2.png two.json --hires 1.5 --hires-steps 2 --hires-denoise 0.5 --hires-upscaler lanczos &&
        run 0 "$BUILD/tests/e2e/pngdiff" --most 0 h1.png h2.png && run 0 "$COUPLET" render h1.png -o h3.png && cmp h1.png h3.png
}
check '--hires: as the layout says it' enlarged
useless() {
    run 1 "$COUPLET" render two.json -o no.png --denoise 0.5 && has "$err" '--init names one' && absent no.png &&
        run 1 "$COUPLET" render two.json -o no.png --hires-steps 3 && has "$err" '--hires-steps: there is no second pass' &&
        run 2 "$COUPLET" render two.json -o no.png --hires 9 && run 2 "$COUPLET" render two.json -o no.png --hires-upscaler esrgan && absent no.png
}
check 'options of what is not there' useless
init_inside() { "$COUPLET" show c.png | grep -q 'Denoising strength: 0.5' && cp c.png begun.png && renders s3.png begun.png && cmp s3.png begun.png; }
check '... which says so and is made again' init_inside
beside() {
    mkdir -p other && cp picture.png other/first.png &&
        sed 's/"regions"/"img2img": {"image": "first.png", "denoise": 0.5}, "regions"/' two.json >other/begun.json &&
        renders s4.png other/begun.json && renders s5.png two.json --init other/first.png --denoise 0.5 &&
        "$BUILD/tests/e2e/pngdiff" --most 0 s4.png s5.png
}
check 'img2img: a picture beside the layout' beside
no_init() { run 1 "$COUPLET" render two.json -o x.png --init none.png && lines_in "$err" 1 && has "$err" 'img2img.image' && has "$err" 'No such file' && absent x.png; }
check '--init: no such file' no_init
bad_init() { run 1 "$COUPLET" render two.json -o x.png --init two.json && has "$err" 'img2img.image' && absent x.png; }
check '--init: no picture' bad_init
cut_init() {
    head -c 300 picture.png >cut.png
    run 1 "$COUPLET" render two.json -o x.png --init cut.png && lines_in "$err" 1 && has "$err" 'cut.png' && has "$err" 'name another PNG' && absent x.png &&
        sed 's/"regions"/"img2img": {"image": "cut.png"}, "regions"/' two.json >cut.json && run 1 "$COUPLET" check cut.json && has "$err" 'img2img.image'
}
check '--init: a picture that ends too early' cut_init
check '--clip-skip: another picture' not_the_same two.json --clip-skip 2
clip_skip_inside() { "$COUPLET" show c.png | grep -q 'Clip skip: 2' && cp c.png skipped.png && renders s2.png skipped.png && cmp s2.png skipped.png; }
check '... which says so and is made again' clip_skip_inside
too_deep() { run 1 "$COUPLET" render two.json -o x.png --clip-skip 9 && has "$err" 'sampling.clip_skip' && has "$err" '2 layers' && absent x.png; }
check '--clip-skip: more than there are layers' too_deep
sed 's/"regions"/"schedules": true, "regions"/; s/a cat, night sky/a [cat:sun:0.5], night sky/' two.json >turns.json
check 'a prompt that changes: another picture' not_the_same turns.json
literal() { sed 's/"schedules": true, //' turns.json >literal.json && renders l.png literal.json && renders tu.png turns.json && ! cmp -s l.png tu.png; }
check '... and without schedules the brackets are words' literal
sed 's/a \[cat:sun:0.5\], night sky/a cat AND a dog/' turns.json >and.json
composed() { run 1 "$COUPLET" check and.json && run 1 "$COUPLET" render and.json -o x.png && has "$err" 'and.json: regions[0].prompt' && absent x.png; }
check 'AND in one of two regions: an error on its row' composed
echo '{"schedules": true, "regions": [{"prompt": "a cat AND a sun"}], "sampling": {"steps": 3}}' >alone.json
check 'AND in the only one: a picture' renders composed.png alone.json

stats_out() {
    run 0 "$COUPLET" render two.json -o s.png --stats - && has "$out" '"step_allocations": 0' && lacks "$out" s.png &&
        cp "$out" s.json && run 0 "$COUPLET" stats s.json && has "$out" 'step_allocations'
}
check '--stats -: steps after the first allocate nothing' stats_out
tiled() {
    renders v.png two.json --vae-tile 4096 && run 0 "$pngdiff" --most 1 a.png v.png && renders v.png two.json --vae-tile off &&
        cmp a.png v.png
}
check '--vae-tile changes no picture' tiled
budgets() { renders v.png two.json --cache-bytes 1M --pool-bytes 1G && cmp a.png v.png; }
check 'budgets change no picture' budgets
too_little() {
    run 1 "$COUPLET" render two.json --size 512x512 --pool-bytes 2M -o none.png && absent none.png &&
        has "$err" 'out of memory' && has "$err" 'choose a smaller canvas'
}
check 'a budget that is too small: words and no picture' too_little
stats_keys() {
    for key in live_peak_bytes pool_held_peak_bytes cached_bytes memory_rescues sampling_ms decode_ms device_bytes; do
        has s.json "\"$key\": " || return 1
    done
    has s.json '"active_tensors": 0,'
}
check 'statistics: nothing is active after the run' stats_keys
stats_file() { renders s.png two.json --stats st.json && has st.json '"steps": 4'; }
check '--stats FILE' stats_file
spared() { # spared WORDS ARGUMENT...: nothing is run, and the layout stays
    local words=$1
    shift
    cp two.json mine.json && run 1 "$COUPLET" "$@" && empty "$out" && lines_in "$err" 1 && has "$err" "$words" && cmp two.json mine.json
}
ln -s mine.json alias.json
check 'a picture does not replace the layout' spared 'mine.json is the layout itself' render mine.json -o mine.json
check '... by another name' spared 'alias.json is the layout itself' render mine.json -o alias.json
check 'nor do statistics' spared '--stats: mine.json is the layout itself' render mine.json -o x.png --stats mine.json
check 'nor does a map' spared 'mine.json is the layout itself' map mine.json --png mine.json
check 'statistics do not replace the picture' spared '--stats: x.png is the picture' render mine.json -o x.png --stats x.png
check 'statistics in a folder that is not there: told before the run' spared 'cannot write nowhere/st.json' render mine.json -o x.png --stats nowhere/st.json
check '... so that there is no picture' absent x.png
own_place() { cp a.png self.png && renders self.png self.png && cmp a.png self.png; }
check 'a picture is rendered in its own place' own_place
dump() { mkdir dump && renders s.png two.json --dump dump && [ -n "$(ls dump)" ]; }
check '--dump DIR' dump

cuda() { run 1 "$COUPLET" render two.json -o x.png --device cuda && lines_in "$err" 1 && has "$err" cuda && absent x.png; }
if "$COUPLET" info | grep -q 'cuda: not usable'; then check '--device cuda without one: an error' cuda; fi
tokenizer() { run 1 "$COUPLET" render two.json -o x.png --tokenizer nowhere && has "$err" nowhere && lines_in "$err" 1 && absent x.png; }
check 'a tokenizer that is not there' tokenizer

# The old picture stays when the new one does not come.
kept() {
    cp a.png old.png
    run 1 "$COUPLET" render two.json -o old.png --model nowhere && cmp a.png old.png
}
check 'a failed run leaves the old picture' kept
interrupted() { # interrupted SIGNAL STATUS
    local pid status i
    # What the run before said is not to be taken for this one's.
    : >"$err"
    # A shell without job control starts what runs behind it with SIGINT ignored.
    set -m
    "$COUPLET" render long.json -o never.png >"$out" 2>"$err" </dev/null &
    pid=$!
    set +m
    # the drawn seed is told when the run has begun
    for ((i = 0; i < 300; i++)); do grep -q 'couplet: seed' "$err" && break; sleep 0.1; done
    kill -"$1" $pid
    wait $pid 2>/dev/null
    status=$?
    [ $status = "$2" ] || { echo "      status $status, not $2" && return 1; }
    absent never.png && has "$err" 'cancelled' && [ -z "$(find . -name '*never*')" ]
}
check 'SIGINT: cancelled, no file, 130' interrupted INT 130
check 'SIGTERM: cancelled, no file, 143' interrupted TERM 143

if localedef -i de_DE -f UTF-8 "$work/de_DE.UTF-8" 2>/dev/null; then
    german() {
        env LOCPATH="$work" LC_ALL=de_DE.UTF-8 "$COUPLET" render other.json -o g.png --cfg 2.5 --stats g.json >/dev/null 2>&1 &&
            renders p.png other.json --cfg 2.5 && cmp g.png p.png && run 0 "$COUPLET" stats g.json
    }
    check 'German: the same file' german
fi
if command -v script >/dev/null; then
    bar() { run 0 script -qec "$COUPLET render two.json -o bar.png" /dev/null && has "$out" 'step 4/4' && has "$out" bar.png; }
    check 'a progress bar on a terminal' bar
fi
finish
