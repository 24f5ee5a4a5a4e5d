#!/usr/bin/env python3
"""The recipe of the built-in model: one command for each stage. README.md tells the whole story."""

import argparse
import os
import shutil
import subprocess
import sys

import settings as settings_module
from settings import BUILTIN, REPOSITORY, path_in

SHIPPED = ["builtin.safetensors", "vocab.json", "merges.txt", "vocabulary.json"]
GOLDEN = os.path.join(REPOSITORY, "tests", "golden", "builtin")


def exported(settings):
    return path_in(settings, "model", "builtin.safetensors")


def chosen_model(settings, arguments):
    """--model, else what the run has exported, else the model of the repository."""
    if arguments.model:
        return os.path.abspath(arguments.model)
    return exported(settings) if os.path.exists(exported(settings)) else os.path.join(BUILTIN, "builtin.safetensors")


def stage_numerics(settings, arguments):
    import numerics
    numerics.run(settings)


def stage_scenes(settings, arguments):
    import scenes
    scenes.run(settings)


def stage_vae(settings, arguments):
    import train_vae
    train_vae.run(settings)


def stage_latents(settings, arguments):
    import latents
    latents.run(settings, arguments.start)


def stage_unet(settings, arguments):
    import train_unet
    train_unet.run(settings, arguments.start)


def stage_export(settings, arguments):
    import export
    export.run(settings)


def stage_golden(settings, arguments):
    import golden
    golden.run(chosen_model(settings, arguments), path_in(settings, "golden", ""))


def stage_detector(settings, arguments):
    import detector
    detector.run(settings, chosen_model(settings, arguments))


def stage_evaluate(settings, arguments):
    import evaluate
    evaluate.run(settings, chosen_model(settings, arguments), arguments.cases, arguments.kinds)


def stage_sheet(settings, arguments):
    import detector
    import sheet
    judge = detector.trained(settings) if os.path.exists(path_in(settings, "detector.pt")) else None
    sheet.run(settings, chosen_model(settings, arguments), path_in(settings, "sheet.png"), judge)


def stage_bench(settings, arguments):
    """A detector that was stopped on its way is trained to its end, one that is done is taken as it is."""
    stage_detector(settings, arguments)
    stage_evaluate(settings, arguments)


def stage_install(settings, arguments):
    """What the program and its golden tests are made of, from this run."""
    for name in SHIPPED:
        shutil.copy(path_in(settings, "model", name), BUILTIN)
    for name in ("expected.json", "expected.safetensors"):
        shutil.copy(path_in(settings, "golden", name), GOLDEN)
    if os.path.exists(path_in(settings, "sheet.png")):
        shutil.copy(path_in(settings, "sheet.png"), BUILTIN)
    print(f"installed into {BUILTIN} and {GOLDEN}: now make golden")


def stage_all(settings, arguments):
    """Each in a process of its own, as a team has to be made before anything is computed."""
    for stage in ("numerics", "scenes", "vae", "latents", "unet", "export", "golden", "detector", "evaluate", "sheet"):
        subprocess.run([sys.executable, sys.argv[0], stage, *(word for word in sys.argv[1:] if word != "all")], check=True)


STAGES = {name[len("stage_"):]: function for name, function in globals().items() if name.startswith("stage_")}


def keep_memory():
    """Starts again with an allocator that keeps what it has: else each step gives its activations back to the system, and
    takes them anew page by page. Also with torch's AVX-512 kernels where the processor has them."""
    if "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    kept = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000",
            "OPENBLAS_NUM_THREADS": "1"}  # its products are small ones here, or those of threads of ours
    with open("/proc/cpuinfo", encoding="ascii") as file:
        if "avx512vl" in file.read():
            kept["ATEN_CPU_CAPABILITY"] = "avx512"
    os.execve(sys.executable, [sys.executable, *sys.argv], {**kept, **os.environ})


def main():
    keep_memory()
    parser = argparse.ArgumentParser(description="Makes couplet's built-in model; stages in the order of their use.")
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("settings", help="cpu, cuda, smoke or the path of a TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change one setting")
    parser.add_argument("--model", help="a checkpoint of this recipe, for golden, detector, evaluate and sheet")
    parser.add_argument("--start", help="latents, unet: begin with the weights of this checkpoint")
    parser.add_argument("--cases", type=int, default=96, help="evaluate: pictures of each kind of layout")
    parser.add_argument("--kinds", nargs="*", help="evaluate: these kinds only")
    arguments = parser.parse_args()
    STAGES[arguments.stage](settings_module.read(arguments.settings, arguments.set), arguments)


if __name__ == "__main__":
    main()
