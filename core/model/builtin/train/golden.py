"""Reference results of a checkpoint for tests/golden/builtin, made with plain torch in f32: expected.json says what was
asked, expected.safetensors what came out."""

import json
import os

import numpy as np
import torch

import layouts
import model
import safetensors_file
from noise import Noise, sample
from tokenizer import Tokenizer
from unet import Text

SEED = 7
TEXTS = ["", "a cat, night sky", "two red hearts and a fox, on a blue background", "a zebra at night",
         "Snow. A penguin, in the snow!"]


def region(prompt, x1, x2, y1, y2, weight=1.0):
    return {"prompt": prompt, "mapping": [float(x1), float(x2), float(y1), float(y2), weight]}


COUPLED = [region("a cat, night sky", 0, 0.5, 0, 0.5), region("a sun, on sand", 0.5, 1, 0, 0.5),
           region("a boat, sea", 0, 1, 0.5, 1), region("a crown", 0.25, 0.75, 0.25, 0.75, 0.6)]
RUNS = [
    [region("a cat, night sky", 0, 0.5, 0, 1), region("a dog, on grass", 0.5, 1, 0, 1)],
    [region("a sun, sunset", 0, 1, 0, 0.5), region("a boat, sea", 0, 1, 0.5, 1)],
    [region("a cat, night sky", 0, 0.5, 0, 0.5), region("a sun, on sand", 0.5, 1, 0, 0.5),
     region("a boat, sea", 0, 1, 0.5, 1)],
]
FIRST_RUN_SEED = 40
SIDE = 128  # pixels


class Reference:
    """A checkpoint and the questions asked of it."""

    def __init__(self, path):
        tensors, self.spec = safetensors_file.read_model(path)
        self.denoiser, self.vae = model.of_file(self.spec, tensors)
        self.tokenizer = Tokenizer(os.path.dirname(path))
        self.length = self.spec["text"][0]["context_length"]
        self.cells = SIDE >> (len(self.spec["vae"]["ch_mult"]) - 1)

    def conditioning(self, texts):
        """[1, regions, tokens, width]"""
        ids = torch.tensor([self.tokenizer.ids(text, self.length) for text in texts])
        return self.denoiser.text(ids)[None]

    def text(self, regions):
        """What a UNet hears of regions."""
        rects = [r["mapping"][:4] for r in regions]
        weights = [r["mapping"][4] for r in regions]
        masks = []
        for level in range(len(self.spec["unet"]["channel_mult"])):
            side = -(-self.cells // (1 << level))
            masks.append(torch.from_numpy(layouts.masks(rects, weights, SIDE, SIDE, side, side))[None])
        return Text(self.conditioning([r["prompt"] for r in regions]), masks)

    def texts(self):
        ids = torch.tensor([self.tokenizer.ids(text, self.length) for text in TEXTS])
        return {"text.input_ids": ids, "text.last_ln": self.denoiser.text(ids)}

    def one_pass(self, generator):
        x = torch.randn(2, self.spec["unet"]["in_channels"], self.cells, self.cells, generator=generator)
        steps = torch.tensor([999, 250])
        context = self.conditioning(TEXTS[1:3])[0]
        eps = self.denoiser.unet(x, steps, Text(context[:, None]))
        coupled = self.denoiser.unet(x[:1], steps[:1], self.text(COUPLED))
        return {"unet.x": x, "unet.timesteps": steps.float(), "unet.context": context, "unet.eps": eps,
                "coupled.eps": coupled}

    def autoencoder(self, generator):
        z = torch.randn(1, self.spec["vae"]["z_channels"], self.cells, self.cells, generator=generator)
        z = z / self.spec["vae"]["scaling_factor"]
        picture = self.vae.decode(z)
        seen = picture.clamp(-1, 1)
        mean, log_variance = self.vae.encode(seen)
        return {"vae.z": z, "vae.image": picture, "vae.encode.image": seen, "vae.encode.mean": mean,
                "vae.encode.logvar": log_variance}

    def whole_run(self, number, regions, sampling):
        shape = (1, self.spec["unet"]["in_channels"], self.cells, self.cells)
        start = torch.randn(shape, generator=torch.Generator().manual_seed(FIRST_RUN_SEED + number))
        states = sample(self.denoiser, Noise(self.spec), start, self.text(regions), Text(self.conditioning([""])),
                        sampling["steps"], sampling["cfg"])
        picture = self.vae.decode(states[-1] / self.spec["vae"]["scaling_factor"])
        return {f"e2e{number}.noise": start, f"e2e{number}.x": torch.cat(states), f"e2e{number}.image": picture}


@torch.no_grad()
def run(model_path, folder):
    """Writes expected.json and expected.safetensors of a checkpoint into `folder`."""
    reference = Reference(model_path)
    generator = torch.Generator().manual_seed(SEED)
    sampling = {"steps": 20, "cfg": reference.spec["defaults"]["cfg"], "sampler": "euler", "schedule": "karras"}
    results = {**reference.texts(), **reference.one_pass(generator), **reference.autoencoder(generator)}
    for number, regions in enumerate(RUNS):
        results.update(reference.whole_run(number, regions, sampling))
    asked = {"text": TEXTS, "coupled": COUPLED,
             "e2e": [{"seed": FIRST_RUN_SEED + i, **sampling, "regions": regions} for i, regions in enumerate(RUNS)]}
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(asked, file, indent=1)
        file.write("\n")
    safetensors_file.write(os.path.join(folder, "expected.safetensors"),
                           {name: np.asarray(value) for name, value in results.items()})
    print(f"reference results of {model_path} are in {folder}")
