"""Trains UNet and text encoder together on encoded scenes, a share of the steps with coupled regions."""

import os

import numpy as np
import torch

import batches
import model
import safetensors_file
import words
from noise import Noise
from settings import path_in
from tokenizer import Tokenizer, write
from training import Training, averaged, prepare
from unet import Text


def tokenizer_of(settings):
    folder = path_in(settings, "model", "")
    if not os.path.exists(folder + "vocab.json"):
        write(folder, words.all_words())
    return Tokenizer(folder)


def new_denoiser(settings, start=None):
    """start: a checkpoint of ours to begin with, in the place of random weights."""
    spec = model.spec_of(settings, len(tokenizer_of(settings)))
    denoiser = model.Denoiser(spec)
    if start:
        tensors, _ = safetensors_file.read_model(start)
        model.fill(denoiser.text, model.TEXT_PREFIX, tensors)
        model.fill(denoiser.unet, model.UNET_PREFIX, tensors)
    return denoiser.to(settings.run.device), spec


def loss_of(settings, denoiser, noise, batch, generator):
    """One number for each sample: squared error of the noise, weighted."""
    z = batch.latents
    steps = torch.randint(len(noise.alphas), (len(z),), generator=generator).to(z.device)
    added = torch.randn(z.shape, generator=generator).to(z.device)
    with model.matrix_type(settings):
        text = Text(denoiser.conditioning(batch.ids), batch.masks)
        guess = denoiser.unet(noise.add(z, steps, added), steps, text)
    return (guess - added).pow(2).flatten(1).mean(1) * noise.weights(steps, settings.unet.min_snr, settings.unet.high_noise)


def run(settings, start=None):
    team = prepare(settings, settings.run.team)
    denoiser, spec = new_denoiser(settings, start)
    training = Training("unet", settings, denoiser, settings.unet, team)
    noise = Noise(spec)
    rng = np.random.default_rng([settings.run.seed, training.step, team.rank])
    scenes, held_out = batches.training_and_held_out(settings, tokenizer_of(settings), rng, team)
    generator = torch.Generator().manual_seed(settings.run.seed + training.step + 1_000_003 * team.rank)
    training.tell(f"{model.parameters(denoiser.unet)} parameters, text encoder {model.parameters(denoiser.text)}; "
                  f"{sum(len(group.scenes) for group in scenes.plain + scenes.coupled)} scenes")

    def losses():
        batch = scenes.batch()
        loss = loss_of(settings, denoiser, noise, batch, generator).mean()
        return {"loss": loss, "coupled" if batch.masks else "plain": float(loss)}, len(batch.latents)

    def evaluate():
        held_out.rng = np.random.default_rng(0)
        fixed, means = torch.Generator().manual_seed(0), {}
        for name, groups, coupled in (("held_out_plain", held_out.plain, False),
                                      ("held_out_coupled", held_out.coupled, True)):
            values = [loss_of(settings, denoiser, noise, held_out.make(held_out.pick(groups), coupled), fixed).mean()
                      for _ in range(settings.unet.held_out)]
            means[name] = float(torch.stack(values).mean())
        return means

    training.run(losses, evaluate)


def trained(settings):
    denoiser, spec = new_denoiser(settings)
    return averaged("unet", settings, denoiser), spec
