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
fi
finish
