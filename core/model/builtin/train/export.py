"""Puts the averaged weights into a checkpoint as couplet reads it, F16, with its vocabulary beside it."""

import json
import os

import numpy as np

import latents
import model
import safetensors_file
import train_unet
import train_vae
import words
from settings import path_in

LARGEST_BYTES = 12_000_000


def half(name, value):
    """F16, or a complaint about what does not fit into it."""
    value = value.detach().cpu().numpy()
    halved = value.astype(np.float16)
    if not np.isfinite(halved).all():
        raise SystemExit(f"{name} has values that F16 cannot hold")
    return halved


def run(settings):
    """Gives the path of the checkpoint."""
    denoiser, spec = train_unet.trained(settings)
    vae = train_vae.trained(settings)
    described = latents.description(settings)
    spec["vae"]["scaling_factor"] = described["scaling_factor"]
    spec["latent_rgb"] = described["latent_rgb"]
    tensors = {name: half(name, value) for name, value in model.named_tensors(denoiser, vae).items()}
    path = path_in(settings, "model", "builtin.safetensors")
    safetensors_file.write(path, tensors, {"format": "pt", "couplet.spec": json.dumps(spec)})
    with open(path_in(settings, "model", "vocabulary.json"), "w", encoding="utf-8") as file:
        json.dump(words.for_people(), file, indent=1)
    size = os.path.getsize(path)
    print(f"{path}: {size} bytes; parameters: text {model.parameters(denoiser.text)}, "
          f"UNet {model.parameters(denoiser.unet)}, VAE {model.parameters(vae)}")
    if size > LARGEST_BYTES:
        print(f"that is more than the {LARGEST_BYTES} that it may have")
    return path
