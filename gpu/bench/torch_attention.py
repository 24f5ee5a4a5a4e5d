#!/usr/bin/env python3
"""torch_attention.py FILE: the cross-attention layers that bench-gpu measured (FILE, JSON) in PyTorch, on the same device:
the original's way (a copy of the picture for each region, masked and summed), and FlexAttention over all texts at once with a mask
of who listens to what. Adds "torch" to FILE and prints a table. Says in one line why, where torch cannot."""
import json
import os
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    sys.exit(f"bench-gpu: PyTorch is left out: {error}")
if not torch.cuda.is_available():
    sys.exit("bench-gpu: PyTorch is left out: it sees no device")
try:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    torch._dynamo.config.cache_size_limit = 256  # each layer is compiled for itself: past the limit it would not be compiled at all
    flex = torch.compile(flex_attention, dynamic=False)
except (ImportError, AttributeError):
    flex = None

KEYS, INNER = 77, 8


def median_ms(work, rounds=21):
    """Of one of several in a CUDA graph, so that launches cost what they cost us."""
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.synchronize()
    graph, times = torch.cuda.CUDAGraph(), []
    with torch.cuda.graph(graph):
        for _ in range(INNER):
            work()
    for _ in range(rounds):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / INNER)
    return sorted(times)[rounds // 2]


def tiles(regions, side):
    """[regions, tokens], as cpl_bench_tiles."""
    columns = 1
    while columns * columns < regions:
        columns *= 2
    rows = regions // columns
    at = torch.arange(side)
    number = (at * rows // side)[:, None] * columns + (at * columns // side)[None, :]
    return F.one_hot(number.flatten(), regions).T.contiguous().cuda()


def layer(case, kind):
    side, heads, depth, width, regions = (int(case[k]) for k in ("side", "heads", "depth", "width", "regions"))
    c, tokens = heads * depth, side * side
    random = lambda *shape: torch.randn(*shape, device="cuda", dtype=kind)
    wq, wk, wv, wo = random(c, c) * c ** -0.5, random(c, width) * width ** -0.5, random(c, width) * width ** -0.5, random(c, c) * c ** -0.5
    x, texts, masks = random(2, tokens, c), random(1 + regions, KEYS, width), tiles(regions, side).to(kind)
    split = lambda t: t.view(t.shape[0], t.shape[1], heads, depth).transpose(1, 2)
    join = lambda t: t.transpose(1, 2).reshape(t.shape[0], -1, c)

    def original():
        copies = torch.cat([x[:1], x[1:].expand(regions, -1, -1)])
        out = F.linear(join(F.scaled_dot_product_attention(split(F.linear(copies, wq)), split(F.linear(texts, wk)), split(F.linear(texts, wv)))), wo)
        return torch.cat([out[:1], (out[1:] * masks[:, :, None]).sum(0, keepdim=True)]) + x

    # Tiles do not overlap, so one softmax over the keys of a token's own region is the same sum.
    keys, values = F.linear(texts, wk), F.linear(texts, wv)
    negative_k, negative_v = split(keys[:1]), split(values[:1])
    all_k, all_v = split(keys[1:].reshape(1, -1, c)), split(values[1:].reshape(1, -1, c))
    number = masks.argmax(0).int()
    block_mask = create_block_mask(lambda b, h, q, kv: number[q] == kv // KEYS, None, None, tokens, regions * KEYS, device="cuda") if flex else None

    def flexed():
        q = split(F.linear(x, wq))
        out = torch.cat([F.scaled_dot_product_attention(q[:1], negative_k, negative_v), flex(q[1:], all_k, all_v, block_mask=block_mask)])
        return F.linear(join(out), wo) + x

    return original, flexed if flex else None


def attempt(name, row, work):
    """What torch cannot do here must not cost the rest: None, and why on stderr."""
    try:
        with torch.no_grad():
            return work()
    except Exception as error:
        print(f"bench-gpu: torch, {name}, {row}: {str(error).splitlines()[0] if str(error) else type(error).__name__}", file=sys.stderr)
        return None


def save(report):
    """After each layer: compiling them takes long, and a machine that is lent may be gone in the middle."""
    with open(sys.argv[1] + ".new", "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    os.replace(sys.argv[1] + ".new", sys.argv[1])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    if not report.get("coupled"):
        return
    kind = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}[report["precision"]]
    report["torch"] = {"version": torch.__version__, "layers": []}
    print("\n| layer | regions | ours ms | torch, the original's way ms | torch, FlexAttention ms | ours is faster by |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for case in report["coupled"]:
        if case["batch"] != 2:
            continue
        row = {key: case[key] for key in ("model", "side", "heads", "depth", "regions")} | {"original_ms": None, "flex_ms": None}
        ways = attempt("inputs", row, lambda: layer(case, kind)) or (None, None)
        for name, work in zip(("original_ms", "flex_ms"), ways):
            row[name] = attempt(name, row, lambda: median_ms(work)) if work else None
        report["torch"]["layers"].append(row)
        show = lambda value: f"{value:.4f}" if value else "-"
        print(f"| {case['model']} {case['side']:.0f}x{case['side']:.0f} | {case['regions']:.0f} | {show(case['layer_ms'])} | {show(row['original_ms'])} | {show(row['flex_ms'])} | "
              f"{row['original_ms'] / case['layer_ms']:.1f} |" if row["original_ms"] and case["layer_ms"] else f"| {row} |", flush=True)
        save(report)


main()
