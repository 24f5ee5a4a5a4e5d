#!/usr/bin/env bash
# The check and the bench of a GPU themselves, on the emulated device: that they run, count, and say so where there is no device;
# and that what they are built of asks for nothing that a bare machine lacks.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
[ -z "${SANITIZE:-}" ] || { echo "0 passed, 0 failed, 1 skipped"; exit 0; }
export BUILD

none() { EMULATED_DEVICES=-1 run 1 "$root/tests/device/check" --emulated && lines_in "$out" 1 && has "$out" 'nothing was checked' && has "$out" 'no driver'; }
check 'check-gpu without a device: one line' none
whole() { run 0 "$root/tests/device/check" --emulated && has "$out" ' passed, 0 failed'; }
check 'check-gpu on the emulated device' whole
# Which libraries a run is about: none; one that is named; both, in Python's wheels. The machine may have wheels of its own: ours
# are packages, which hide them.
mkdir -p bare/nvidia wheels/nvidia && touch bare/nvidia/__init__.py wheels/nvidia/__init__.py
untested() {
    PYTHONPATH=$PWD/bare run 0 "$root/tests/device/check" --emulated --sanitizer && has "$out" 'cuBLASLt: NOT in use (no libcublasLt.so' &&
        has "$out" 'cuDNN: NOT in use (no libcudnn.so.9 was found; COUPLET_CUDNN=FILE names one): its convolutions are NOT TESTED'
}
check 'check-gpu without libraries says so' untested
named() {
    PYTHONPATH=$PWD/bare COUPLET_CUBLASLT=$BUILD/tests/gpu/libcouplet-cuda.so COUPLET_CUDNN=no run 0 "$root/tests/device/check" --emulated --sanitizer &&
        has "$out" 'cuBLASLt: in use for linear layers, COUPLET_CUBLASLT=' && has "$out" 'cuDNN: NOT in use (COUPLET_CUDNN=no)'
}
check 'check-gpu with one library' named
wheels() {
    mkdir -p wheels/nvidia/cudnn/lib wheels/nvidia/cu13/lib && ln -s "$BUILD/tests/gpu/libcouplet-cuda.so" wheels/nvidia/cudnn/lib/libcudnn.so.9 &&
        ln -s "$BUILD/tests/gpu/libcouplet-cuda.so" wheels/nvidia/cu13/lib/libcublasLt.so.13 &&
        PYTHONPATH=$PWD/wheels run 0 "$root/tests/device/check" --emulated --sanitizer && has "$out" 'cuBLASLt: in use for linear layers' &&
        has "$out" 'cuDNN: in use for convolutions, COUPLET_CUDNN=' && lacks "$out" 'NOT'
}
check 'check-gpu finds libraries in wheels' wheels
torn() { # a file that is no library
    rm -f wheels/nvidia/cudnn/lib/libcudnn.so.9 && echo torn >wheels/nvidia/cudnn/lib/libcudnn.so.9 &&
        PYTHONPATH=$PWD/wheels run 0 "$root/tests/device/check" --emulated --sanitizer && has "$out" 'cuDNN: NOT in use (no libcudnn.so.9'
}
check 'check-gpu passes over a wheel that does not load' torn
# The check's own ways, by programs that stand for what it runs: one is so fast that a run of 1000 steps is over in less than a
# second, one does not end.
mkdir -p stands/tests/device/{f32,f16,bf16} stands/bin
stand() { # stand FILE: the script comes on stdin
    cat - >"stands/$1" && chmod +x "stands/$1"
}
stand tests/device/tool <<'END'
#!/bin/sh
case $1:$4:$6 in
devices:*) echo 'cuda:0: a device, 80.0 GiB, cuBLASLt 13.1.0, cuDNN 9.19.0' ;;
full:*) echo 'out of memory' ;;
render:cuda:99:*) echo 'no such device; use --device cpu' >&2 && exit 1 ;;
render:*:1000) exec sleep 0.7 ;;
*) printf P6 >"$3" && if [ -n "${7:-}" ]; then echo '"moves_out": 1, '; else echo '"device_peak_bytes": 1600, "moves_out": 0, '; fi ;;
esac
END
printf '#!/bin/sh\necho "1 passed, 0 failed"\n' | tee stands/tests/device/ops | stand tests/device/golden && chmod +x stands/tests/device/ops
for name in {f32,f16,bf16}/test_{norm,pointwise,conv,attention,coupled}; do echo '#!/bin/sh' | stand "tests/device/$name"; done
stood_for() { # stood_for STATUS OPTION...
    local status=$1
    shift
    BUILD=$work/stands PATH=$work/stands/bin:$PATH run "$status" "$root/tests/device/check" "$@"
}
swift() { stood_for 0 --first && has "$out" ' passed, 0 failed' && has "$out" 'ok      a run that is killed'; }
check 'check-gpu on a device that is fast' swift
endless() {
    printf '#!/bin/sh\nexec sleep 60\n' | stand tests/device/f16/test_norm
    CHECK_SECONDS=1 stood_for 1 --first && has "$out" 'failed  operations: norm, f16' && has "$out" '(no end within 1 s)' &&
        has "$out" 'ok      a run that is killed' && has "$out" ' passed, 1 failed'
}
check 'check-gpu goes on after a test that does not end' endless
# memcheck reports each call that fails, unless told not to; the other tools are about our own kernels.
sanitizer() {
    stand bin/compute-sanitizer <<'END'
#!/bin/sh
case "$* " in *'--report-api-errors no '*) ;; *) echo '========= Program hit cudaErrorGraphExecUpdateFailure' && exit 9 ;; esac
case "$* " in *' --tool '*) [ "${COUPLET_CUDA_PRODUCTS:-}" = own ] ;; esac
END
    stood_for 0 --sanitizer && has "$out" 'ok      compute-sanitizer, memcheck, a picture' && has "$out" 'ok      compute-sanitizer, synccheck, f16/test_conv' &&
        has "$out" ' passed, 0 failed'
}
check 'check-gpu under compute-sanitizer: calls that may fail, kernels of our own' sanitizer
unmeasured() { EMULATED_DEVICES=-1 COUPLET_BACKEND_DIR=$BUILD/tests/gpu run 1 "$root/gpu/bench/run" && lines_in "$out" 1 && has "$out" 'nothing was measured'; }
check 'bench-gpu without a device: one line' unmeasured
# Numbers of an emulated device mean nothing, but that each is there and none is zero does.
measured() { # measured DESCRIPTION LIBRARIES
    COUPLET_BACKEND_DIR=$BUILD/tests/gpu run 0 "$BUILD/gpu/bench/bench" --quick bench.json && has "$out" '| tiny 8x8, 2 of 24 | 8 | 2 |' &&
        python3 - "$1" "$2" <<'END'
import json, sys
description, libraries = sys.argv[1], sys.argv[2] == "libraries"
report = json.load(open("bench.json"))
assert report["device"] == "emulated device, 8.0 GiB, " + description and report["copy_gbps"] > 0, report
assert [p["product"] for p in report["products"]] == ["tiny conv 8x8, 16", "tiny linear 8x8, 32"]
assert all(p[k] > 0 for p in report["products"] for k in ("gflop", "own_ms", "measured_ms")), report["products"]
assert all((p["library_ms"] > 0) == libraries for p in report["products"]), report["products"]
assert [(c["batch"], c["regions"]) for c in report["coupled"]] == [(2, 1), (2, 2), (8, 1), (8, 2)]
assert all(c["attention_ms"] > 0 and c["layer_ms"] > 0 and c["floor_ms"] > 0 for c in report["coupled"])
assert all((c["batch"] != 2) or c["original_ms"] > 0 for c in report["coupled"])
assert [s["regions"] for s in report["steps"]] == [1, 8]
assert all(s[k] > 0 for s in report["steps"] for k in ("finite", "step_ms", "wall_ms", "host_ms", "decode_ms", "weights_mib", "device_mib", "pictures_per_second"))
END
}
check 'bench-gpu on the emulated device' measured 'own kernels' none
beside() {
    COUPLET_CUBLASLT=$BUILD/tests/gpu/libcouplet-cuda.so COUPLET_CUDNN=$BUILD/tests/gpu/libcouplet-cuda.so measured 'cuBLASLt 13.1.0, cuDNN 9.19.0' libraries
}
check 'bench-gpu on the emulated device, with libraries' beside
part() {
    COUPLET_BACKEND_DIR=$BUILD/tests/gpu run 0 "$BUILD/gpu/bench/bench" --quick --only coupled part.json && has "$out" '| tiny 8x8, 2 of 24 | 8 | 2 |' &&
        lacks "$out" '| product |' && lacks part.json '"steps"' && has part.json '"coupled"'
}
check 'bench-gpu of one part' part
# Alone: nothing that runs before it opens the libraries.
steps() {
    COUPLET_CUBLASLT=$BUILD/tests/gpu/libcouplet-cuda.so COUPLET_CUDNN=$BUILD/tests/gpu/libcouplet-cuda.so COUPLET_BACKEND_DIR=$BUILD/tests/gpu \
        run 0 "$BUILD/gpu/bench/bench" --quick --only steps steps.json && has "$out" '| by libraries % |' && python3 - <<'END'
import json
for s in json.load(open("steps.json"))["steps"]:
    assert s["libraries"] == "cuBLASLt 13.1.0, cuDNN 9.19.0" and s["library_products"] > 5 * s["own_products"] > 0, s
END
}
check 'bench-gpu of steps alone: linear layers and convolutions by libraries' steps
# A PyTorch that can do nothing with the first layer, and is gone with its machine in the second.
lost() {
    mkdir -p torch/torch/nn && echo 'def scaled_dot_product_attention(): pass' >torch/torch/nn/functional.py && touch torch/torch/nn/__init__.py
    cat >torch/torch/__init__.py <<'END'
import contextlib, os, types
__version__, float16, bfloat16, float32 = "0", 16, 17, 32
cuda = types.SimpleNamespace(is_available=lambda: True)
no_grad = contextlib.nullcontext
calls = 0
def randn(*shape, **how):
    global calls
    calls += 1
    if calls > 1: os._exit(9)
    raise RuntimeError("no room for it")
END
    PYTHONPATH=$PWD/torch run 9 python3 "$root/gpu/bench/torch_attention.py" bench.json && has "$err" 'no room for it' && python3 - <<'END'
import json
report = json.load(open("bench.json"))
assert len(report["steps"]) == 2 and [(l["regions"], l["original_ms"], l["flex_ms"]) for l in report["torch"]["layers"]] == [(1, None, None)], report["torch"]
END
}
check 'bench-gpu keeps what PyTorch has done so far' lost
recorded() { run 0 "$BUILD/tests/device/record" "$root/tests/device/ops.safetensors" && has "$out" ' 0 failed, 0 skipped'; }
check 'operations are what their record says, on the CPU' recorded

# What a bare machine lacks must be neither included nor linked.
bare() {
    ! grep -lE 'dnnl|libpng|/png\.h|ncurses|sixel|cmocka\.h' "$BUILD"/tests/device/*.d "$BUILD"/tests/device/bare/*.d &&
        ! ldd "$BUILD"/tests/device/tool "$BUILD"/tests/device/ops "$BUILD"/tests/device/golden | grep -E 'dnnl|png|ncurses|sixel|gomp|cmocka'
}
check 'what checks a GPU needs cJSON at most' bare

# The module that nvcc made, where it did.
if [ -f "$root/libcouplet-cuda.so" ]; then
    door() { [ "$(nm -D --defined-only "$root/libcouplet-cuda.so" | awk '{print $3}')" = couplet_module ]; }
    check 'the module exports its door and nothing else' door
    loads() { COUPLET_BACKEND_DIR=$root run 0 "$COUPLET" info && grep -qE '(^| )cuda(:0)?: ' "$out" && lacks "$out" 'libcouplet-cuda'; }
    check 'the module loads, driver or not' loads
    spills() { run 0 "$root/gpu/report" 80 86 89 90; }
    check 'kernels for all architectures, none of attention spills' spills
    narrow() {
        local flag
        flag=$(make -C "$root" -n -B CUDA_ARCHITECTURES=90 build/cuda/backend.o | grep -o -e '-DGPU_OLDEST_BUILT=[^ ]*') && [ "$flag" = -DGPU_OLDEST_BUILT=90 ]
    }
    check 'the module knows the oldest architecture that it was built for' narrow
    anew() {
        run 0 make -C "$root" -n cuda && lacks "$out" "gpu/gemm.cu" && run 0 make -C "$root" -n CUDA_ARCHITECTURES=90 cuda && has "$out" 'code=[sm_90,compute_90]' && has "$out" 'gpu/gemm.cu'
    }
    check 'other architectures: the module is built anew' anew
fi
finish
