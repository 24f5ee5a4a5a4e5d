#!/usr/bin/env bash
# The CUDA module as a user meets it: what is said where it is missing, broken, without a driver or without such a device,
# and pictures from it (the module of this build runs on an emulated device) beside those of the processor.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
# this build may bring no module: see tests/run
case ${SANITIZE:-} in *thread*) echo "0 passed, 0 failed, 1 skipped" && exit 0 ;; esac
pngdiff=$BUILD/tests/e2e/pngdiff
emulated=$BUILD/tests/gpu

cat >two.json <<'END'
{"couplet": 1, "canvas": {"width": 32, "height": 32}, "regions": [
  {"rect": [0, 0.5, 0, 1], "prompt": "a cat"},
  {"rect": [0.5, 1, 0, 1], "prompt": "a sun"}],
 "sampling": {"steps": 3, "seed": 42, "sampler": "euler_a"}}
END
refused() { # refused SENTENCE DEVICE: one line, status 1, no picture
    run 1 "$COUPLET" render two.json -o x.png --device "$2" && lines_in "$err" 1 && has "$err" "$1" && absent x.png
}

none() { COUPLET_BACKEND_DIR=$work refused 'no libcouplet-cuda.so' cuda && has "$err" '--device cpu'; }
check 'no module: a sentence' none
broken() { mkdir broken && echo nonsense >broken/libcouplet-cuda.so && COUPLET_BACKEND_DIR=$work/broken refused 'cannot be loaded' cuda; }
check 'a broken module: a sentence' broken
broken_auto() { COUPLET_BACKEND_DIR=$work/broken run 0 "$COUPLET" render two.json -o auto.png --steps 1 && has "$err" 'cannot be loaded' && has "$err" 'the processor is used'; }
check 'a broken module: auto takes the processor' broken_auto

export COUPLET_BACKEND_DIR=$emulated
no_driver() { EMULATED_DEVICES=-1 refused 'no driver' cuda && EMULATED_DEVICES=-1 run 0 "$COUPLET" info && has "$out" 'cuda: not usable: no driver'; }
check 'no driver: a sentence, and in info' no_driver
old_driver() { EMULATED_DEVICES=-2 refused 'cuda: the driver is of CUDA 11.8 and this build needs 13.0; use --device cpu' cuda; }
check 'a driver that is too old: a sentence' old_driver
no_device() { EMULATED_DEVICES=0 refused 'no device' cuda:0; }
check 'no device: a sentence' no_device
auto() { EMULATED_DEVICES=-1 run 0 "$COUPLET" render two.json -o auto.png --steps 1 --stats - && has "$out" '"backend": "cpu"' && has "$err" 'cuda: no driver' && has "$err" 'the processor is used'; }
check 'no driver: auto takes the processor, and says so' auto
listed() { EMULATED_DEVICES=2 run 0 "$COUPLET" info && has "$out" 'cuda:1: emulated device, 8.0 GiB, own kernels'; }
check 'info lists devices and their memory' listed
# The libraries of this build's module are fake ones, but they compute.
libraries() { COUPLET_CUBLASLT=$emulated/libcouplet-cuda.so COUPLET_CUDNN=$emulated/libcouplet-cuda.so "$@"; }
named() { libraries run 0 "$COUPLET" info && has "$out" '8.0 GiB, cuBLASLt 13.1.0, cuDNN 9.19.0'; }
check 'info names the libraries' named
unloadable() { COUPLET_CUDNN=$work/none.so refused 'COUPLET_CUDNN: ' cuda; }
check 'a library that is not there: a sentence' unloadable
nonsense() { COUPLET_CUDA_PRODUCTS=fast refused 'library, own and measured are possible' cuda; }
check 'no such way to choose products: a sentence' nonsense
other() { EMULATED_DEVICES=2 refused 'the last one is cuda:1' cuda:2; }
check 'no such device: a sentence' other
beside_old() { # the first device is too old; the second would do
    local device
    EMULATED_DEVICES=2 EMULATED_OLD=1 refused 'device cuda:0: compute capability 7.5; 8.0 or newer is needed; use --device cpu' cuda:0 || return 1
    for device in auto cuda cuda:1; do
        EMULATED_DEVICES=2 EMULATED_OLD=1 run 0 "$COUPLET" render two.json -o beside.png --device $device --steps 1 --stats - &&
            has "$out" '"backend": "cuda"' || return 1
    done
    EMULATED_DEVICES=2 EMULATED_OLD=2 refused 'device cuda: compute capability 7.5; 8.0 or newer is needed; use --device cpu' cuda
}
check 'auto and cuda: the first device that can be used' beside_old
full() { # it is tried once more without caches, which is told too
    EMULATED_MEMORY=20000000 run 1 "$COUPLET" render two.json -o x.png --device cuda &&
        has "$err" 'out of memory' && has "$err" '--device cpu' && absent x.png
}
check 'out of device memory: a sentence' full
budget() { # parts of the model go and come back, and the picture is the same
    run 0 "$COUPLET" render two.json -o roomy.png --device cuda --quiet --stats roomy.json && grep -q '"moves_out": 0,' roomy.json &&
        run 0 "$COUPLET" render two.json -o tight.png --device cuda --quiet --vram 33M --stats tight.json &&
        grep -q '"device_budget_bytes": 34603008,' tight.json && lacks tight.json '"moves_out": 0,' && lacks tight.json '"moves_in": 0,' && cmp roomy.png tight.png
}
check '--vram: less memory, the same picture' budget
larger() { # the device is asked for grids of two sizes in one run
    run 0 "$COUPLET" render two.json -o cpu.png --device cpu --precision f32 --quiet --size 32x32 --steps 2 --hires 2 --hires-steps 2 &&
        run 0 "$COUPLET" render two.json -o gpu.png --device cuda --precision f32 --quiet --size 32x32 --steps 2 --hires 2 --hires-steps 2 &&
        run 0 "$pngdiff" --most 4 cpu.png gpu.png
}
check '--hires: as on the processor' larger

# under sanitizers every block is new, so that its ends can be watched
allocations=${SANITIZE:+[0-9]+}
pictures() { # pictures PRECISION MOST [mean]: as the processor's, up to the precision; MOST is the largest difference, or the mean
    run 0 "$COUPLET" render two.json -o cpu.png --device cpu --precision f32 --quiet &&
        run 0 "$COUPLET" render two.json -o gpu.png --device cuda --precision "$1" --quiet --stats gpu.json &&
        has gpu.json '"backend": "cuda"' && grep -qE "\"step_allocations\": ${allocations:-0}\\b" gpu.json &&
        lacks gpu.json '"device_step_ms": 0,' &&
        most=$("$pngdiff" cpu.png gpu.png | grep -oE "${3:-max} [0-9]+") && [ "${most#* }" -le "$2" ]
}
check 'f32: the picture of the processor' pictures f32 1
check 'f16: nearly so' pictures f16 24
plain() { COUPLET_CUDA_GRAPHS=0 run 0 "$COUPLET" render two.json -o again.png --device cuda --precision f16 --quiet && cmp gpu.png again.png; }
check 'without graphs: the same bytes' plain
by_libraries() {
    libraries pictures f16 24 && has gpu.json '"libraries": "cuBLASLt 13.1.0, cuDNN 9.19.0"' && lacks gpu.json '"library_products": 0,'
}
check 'f16 by libraries: nearly so' by_libraries
# of three steps at 32x32; the processor's own bf16 is 16 off
measured() { COUPLET_CUDA_PRODUCTS=measured libraries pictures bf16 12 mean && lacks gpu.json '"library_products": 0,'; }
check 'bf16 by what is fastest: as far as its numbers go' measured
finish
