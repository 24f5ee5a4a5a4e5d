#!/usr/bin/env bash
# The benchmark: that it measures all it promises and says so in JSON to the letter. How fast anything is is not looked at.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

cat >schema.py <<'END'
import json, sys
run = json.load(open(sys.argv[1]))
wanted = sys.argv[2:]
rows = {
    "coupled_attention": {"model", "precision", "tokens", "heads", "head_dim", "layers", "regions", "ours_ms", "original_ms",
                          "plain_ms", "ours_attention_ms", "plain_attention_ms", "floor_ms", "ours_bytes", "original_bytes"},
    "step": {"model", "precision", "size", "regions", "method", "ms", "floor_ms", "bare_ms", "allocations"},
    "text": {"model", "precision", "lines", "cold_ms", "cached_ms"},
    "vae": {"model", "precision", "size", "ms", "floor_ms", "bare_ms", "ops"},
    "sixel": {"size", "colors", "diffused", "ms", "bytes"},
}
objects = {
    "machine": {"cores", "isa", "kernels", "gflops_f32", "gflops_bf16", "gbps", "shapes"},
    "sync": {"model", "size", "regions", "edits", "p50_ms", "p99_ms"},
    "caches": {"encoder_calls_first", "encoder_calls_changed_line", "encoder_calls_moved_rectangle",
               "conditioning", "text_kv", "plans", "primitives"},
    "editor": {"size", "idle_key_p50_ms", "idle_key_p99_ms", "generating_key_p50_ms", "generating_key_p99_ms", "slow_line_key_p50_ms",
               "slow_line_key_p99_ms", "edit_to_map_p50_ms", "edit_to_map_p99_ms", "bytes_per_edit", "bytes_per_picture",
               "idle_cpu_percent"},
    "pool": {"allocations", "reuses", "bytes", "peak_bytes", "active_bytes", "step_allocations"},
}
assert set(run) == set(wanted), sorted(run)
for name in wanted:
    for item in run[name] if name in rows else [run[name]]:
        own = {"plain": {"ops"}, "original": {"products_of_ceiling"}}.get(item.get("method"), set())
        assert set(item) == (rows.get(name) or objects[name]) | own, (name, sorted(item))
        for op in item.get("ops", []):
            assert set(op) == {"op", "shape", "calls", "ms", "bare_ms"} and op["ms"] > 0, op
        for key, value in item.items():
            assert not (key.endswith("_ms") or key == "ms") or value > 0, (name, key, value)
    assert run[name], name
assert run["machine"]["gflops_f32"] > 0 and run["machine"]["gbps"] > 0
assert all(s["gflops_f32"] > 0 and set(s) == {"op", "shape", "gflops_f32", "gflops_bf16"} for s in run["machine"]["shapes"])
if "step" in run:
    assert {(s["regions"], s["method"]) for s in run["step"]} == {(1, "plain"), (1, "ours"), (8, "ours"), (1, "original"), (8, "original")}
    assert all(s["allocations"] == 0 for s in run["step"] if s["method"] != "original"), run["step"]
if "coupled_attention" in run:
    assert {(c["model"], c["tokens"]) for c in run["coupled_attention"]} == {
        ("sd15", 4096), ("sd15", 1024), ("sd15", 256), ("sd15", 64), ("sdxl", 4096), ("sdxl", 1024)}
    assert all(c["ours_bytes"] < c["original_bytes"] for c in run["coupled_attention"])
if "caches" in run:
    c = run["caches"]
    assert (c["encoder_calls_first"], c["encoder_calls_changed_line"], c["encoder_calls_moved_rectangle"]) == (17, 1, 0), c
    assert run["pool"]["step_allocations"] == 0
END
measures() { # measures MEMBER... -- OPTION...: just these members beside the machine
    local members=()
    while [ "$1" != -- ]; do members+=("$1") && shift; done
    shift
    run 0 "$COUPLET" bench --quick --json --quiet "$@" && empty "$err" && python3 schema.py "$out" machine "${members[@]}"
}
if command -v python3 >/dev/null; then
    check 'bench --part text' measures text -- --part text
    # under a sanitizer oneDNN's products are the same, and slow
    [ -n "${SANITIZE:-}" ] ||
        check 'bench of everything' measures coupled_attention step text vae sync caches pool sixel editor --
fi
table() {
    run 0 "$COUPLET" bench --part machine --quick && has "$out" 'GFLOP/s' && has "$out" '2x64x64x320 to 320, 3x3' &&
        has "$err" 'ceilings of this machine' && harmless "$out"
}
check 'bench for people' table
one_type() {
    run 0 "$COUPLET" bench --part text --quick --json --quiet --precision f32 && lacks "$out" '"precision": "bf16"' &&
        has "$out" '"precision": "f32"' && run 1 "$COUPLET" bench --precision f16 && has "$err" 'not f16' && empty "$out"
}
check 'bench of one type only' one_type
no_part() { run 2 "$COUPLET" bench --part stepp && has "$err" 'did you mean "step"'; }
check 'bench of a part that is not there' no_part
no_model() { run 1 "$COUPLET" bench --part text --quick --model nowhere.safetensors && empty "$out" && has "$err" nowhere; }
check 'bench of a model that is not there' no_model
finish
