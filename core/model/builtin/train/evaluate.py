"""Judges a checkpoint by the pictures that couplet itself makes of it: each kind of layout coupled, and as one joined prompt.

Ceilings come first: what the same judge says of the composer's own pictures of the same cases, and of those after a round
trip through the model's VAE."""

import json
import os
import subprocess
import tempfile

import numpy as np
import torch
from PIL import Image

import cases
import compose
import detector
import layouts
import model
import pictures
import safetensors_file
from glyphs import Glyphs
from score import MEASURES, Score
from settings import BUILTIN, REPOSITORY, path_in

PSNR_SCENES = 128


class Engine:
    """The couplet program with a model."""

    def __init__(self, settings, model_path):
        self.program = os.path.join(REPOSITORY, "couplet")
        if not os.path.exists(self.program):
            raise SystemExit(f"{self.program} is not there: build it (make couplet)")
        self.options = ["--quiet", "--device", "cpu", "--threads", str(settings.run.threads)]
        self.options += [] if is_builtin(model_path) else ["--model", model_path]

    def render(self, layout, folder):
        """u8 [height, width, 3]"""
        source, made = os.path.join(folder, "layout.json"), os.path.join(folder, "picture.png")
        with open(source, "w", encoding="utf-8") as file:
            json.dump(layout, file)
        subprocess.run([self.program, "render", source, "-o", made, *self.options], check=True)
        return np.asarray(Image.open(made).convert("RGB"))


def is_builtin(model_path):
    return os.path.dirname(os.path.abspath(model_path)) == BUILTIN


def judge_pictures(judge, asked, drawn):
    """Percentages, and for each case whether all is right."""
    score, passed = Score(), []
    for case, picture in zip(asked, drawn):
        found, backgrounds = judge.look(picture[None])[0]
        passed.append(score.add(case.scene, found, backgrounds))
    return score.percent(), passed


def composed(asked, glyphs):
    """The composer's own pictures of the cases."""
    return [compose.draw(np.random.default_rng([cases.SEED, case.seed]), case.scene, glyphs) for case in asked]


@torch.no_grad()
def round_trip(vae, picture):
    x = pictures.to_tensor(picture[None], "cpu")
    return pictures.to_bytes(vae.decode(vae.encode(x)[0]))[0]


@torch.no_grad()
def round_trip_psnr(vae, glyphs):
    """Mean over scenes that no training has seen, as all of them come from this seed."""
    rng, values = np.random.default_rng([cases.SEED, 128]), []
    for _ in range(PSNR_SCENES):
        x = pictures.to_tensor(compose.scene(rng, compose.Domain(), glyphs, 128, 128, 0.5)[1][None], "cpu")
        values.append(float(pictures.psnr(vae.decode(vae.encode(x)[0]), x)))
    return float(np.mean(values))


def judge_kind(kind, number, domain, judge, engine, vae, glyphs):
    """{"composed", "round trip", "coupled" or "plain", "joined"}: percentages."""
    asked = cases.make(kind, number, domain)
    originals = composed(asked, glyphs)
    results = {"composed": judge_pictures(judge, asked, originals)[0],
               "round trip": judge_pictures(judge, asked, [round_trip(vae, picture) for picture in originals])[0]}
    ways = {"plain": False} if kind in cases.PLAIN_KINDS else {"coupled": False, "joined": True}
    with tempfile.TemporaryDirectory() as folder:
        for way, joined in ways.items():
            drawn = [engine.render(case.layout(joined), folder) for case in asked]
            results[way] = judge_pictures(judge, asked, drawn)[0]
            print(f"{kind}, {way}: {results[way]}", flush=True)
    return results


def table(results):
    lines = ["| layout | way | " + " | ".join(measure.replace("_", " ") for measure in MEASURES) + " |",
             "| --- " * (len(MEASURES) + 2) + "|"]
    for kind, ways in results.items():
        for way, percent in ways.items():
            values = [f"{percent[measure]:.1f}" if measure in percent else "" for measure in MEASURES]
            lines.append(f"| {kind} | {way} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def run(settings, model_path, number, kinds=None):
    """number: of cases for each kind. Writes evaluation.json and evaluation.md beside the run's other results."""
    torch.set_num_threads(settings.run.threads)
    tensors, spec = safetensors_file.read_model(model_path)
    vae, glyphs = model.of_file(spec, tensors)[1], Glyphs(settings.run.font)
    domain = cases.domain_of(os.path.join(os.path.dirname(model_path), "vocabulary.json"))
    settings.run.device = "cpu"
    judge, engine = detector.trained(settings), Engine(settings, model_path)
    psnr = round_trip_psnr(vae, glyphs)
    print(f"VAE round trip: {psnr:.2f} dB", flush=True)
    results = {kind: judge_kind(kind, number, domain, judge, engine, vae, glyphs)
               for kind in kinds or cases.PLAIN_KINDS + layouts.REGION_KINDS}
    with open(path_in(settings, "evaluation.json"), "w", encoding="utf-8") as file:
        json.dump({"model": model_path, "cases": number, "vae_psnr": psnr, "results": results}, file, indent=1)
    text = (f"{number} cases of each kind, in percent; VAE round trip {psnr:.2f} dB over {PSNR_SCENES} scenes.\n\n"
            f"{table(results)}\n")
    with open(path_in(settings, "evaluation.md"), "w", encoding="utf-8") as file:
        file.write(text)
    print(text)
