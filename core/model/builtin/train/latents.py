"""Encodes all composed pictures once: beside each file of pictures one of latents, f16 [n, z, height / 8, width / 8], as the
encoder's mean; and their scale, and the linear map to RGB, in latents.json."""

import json
import os
import time

import numpy as np
import torch

import model
import pictures
import train_vae
from files import write_text
from settings import path_in
from training import prepare


def path_of(settings, picture_path):
    return path_in(settings, "latents", os.path.basename(picture_path))


def encode_file(settings, vae, path):
    whole = np.load(path, mmap_mode="r")
    batch = max(1, 64 * 128 ** 2 // (whole.shape[1] * whole.shape[2]))
    parts = []
    with torch.no_grad(), model.matrix_type(settings):
        for i in range(0, len(whole), batch):
            x = pictures.to_tensor(whole[i:i + batch], settings.run.device)
            parts.append(vae.encode(x)[0].cpu().numpy().astype(np.float16))
    latents = np.concatenate(parts)
    with open(path_of(settings, path) + ".part", "wb") as file:
        np.save(file, latents)
    os.replace(path_of(settings, path) + ".part", path_of(settings, path))
    return len(latents)


def linear_rgb(latents, whole):
    """Least squares from scaled latents to the mean RGB (0..1) of each cell's 8x8 pixels: factors, bias, r²."""
    n, z, rows, columns = latents.shape
    cells = whole.reshape(n, rows, 8, columns, 8, 3).mean((2, 4)).reshape(-1, 3) / 255
    inputs = latents.transpose(0, 2, 3, 1).reshape(-1, z)
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], 1)
    solved = np.linalg.lstsq(inputs, cells, rcond=None)[0]
    errors = inputs @ solved - cells
    return solved[:-1], solved[-1], 1 - (errors ** 2).sum() / ((cells - cells.mean(0)) ** 2).sum()


def write_description(settings, described):
    write_text(path_in(settings, "latents.json"), json.dumps(described))


def describe(settings):
    """scaling_factor makes the latents' standard deviation 1. Found once: trained weights are used to it."""
    path = pictures.files(settings, "128x128")[0][0]
    latents = np.load(path_of(settings, path)).astype(np.float64)[:256]
    scale = float(1 / latents.std())
    factors, bias, r2 = linear_rgb(latents * scale, np.load(path, mmap_mode="r")[:256].astype(np.float64))
    write_description(settings, {"scaling_factor": scale, "latent_rgb_r2": round(r2, 4),
                                 "latent_rgb": {"factors": factors.round(5).tolist(), "bias": bias.round(5).tolist()}})
    print(f"scaling factor {scale:.4f}, latent to RGB explains {r2:.3f}")


def description(settings):
    with open(path_in(settings, "latents.json"), encoding="utf-8") as file:
        return json.load(file)


def adopt(settings, path):
    """Takes the VAE of a checkpoint and what is known of its latents, so that its UNet can be trained on."""
    vae, spec = train_vae.of_checkpoint(settings, path)
    # Before the VAE: its latents must not be described anew, as the weights are used to the checkpoint's scale.
    write_description(settings, {"scaling_factor": spec["vae"]["scaling_factor"], "latent_rgb": spec["latent_rgb"]})
    train_vae.keep(settings, vae)


def run(settings, start=None):
    """start: a checkpoint, where the run has no VAE of its own or already took that one's."""
    prepare(settings)
    if start:
        adopt(settings, start)
    vae = train_vae.trained(settings)
    began, done = time.time(), 0
    for path in pictures.all_files(settings):
        if not os.path.exists(path_of(settings, path)):
            done += encode_file(settings, vae, path)
            print(f"{done} pictures encoded, {done / (time.time() - began):.0f} a second", flush=True)
    if not os.path.exists(path_in(settings, "latents.json")):
        describe(settings)
