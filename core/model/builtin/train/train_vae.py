"""Trains the autoencoder: on crops, and at the end on whole pictures, as its attention sees another number of cells there."""

import os

import numpy as np
import torch
from torch.nn import functional as F

import model
import pictures
import safetensors_file
from settings import path_in
from training import Training, averaged, prepare
from vae import VAE


def edges(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction_loss(made, wanted):
    """Absolute error, squared error (that is what PSNR measures) and absolute error of the edges, which blur costs most."""
    loss = F.l1_loss(made, wanted) + 2 * F.mse_loss(made, wanted)
    return loss + sum(F.l1_loss(a, b) for a, b in zip(edges(made), edges(wanted)))


def kl(mean, log_variance):
    return (mean.pow(2) + log_variance.exp() - 1 - log_variance).flatten(1).sum(1).mean() / 2


def new_vae(settings):
    return VAE(model.spec_of(settings, 1)["vae"]).to(settings.run.device)


def run(settings):
    team = prepare(settings, settings.run.team)
    plan, device = settings.vae, settings.run.device
    paths, held_out = pictures.files(settings, "128x128")
    training = Training("vae", settings, new_vae(settings), plan, team)
    vae = training.module
    crops = pictures.Crops(paths, np.random.default_rng([settings.run.seed, training.step, team.rank]))
    wanted = pictures.to_tensor(np.load(held_out, mmap_mode="r")[:plan.held_out], device)

    def losses():
        whole = training.progress > 1 - plan.whole_share
        side = 128 if whole else plan.crop
        number = max(1, team.share(plan.batch) * plan.crop ** 2 // side ** 2)
        x = pictures.to_tensor(crops.batch(number, side), device)
        with model.matrix_type(settings):
            mean, log_variance = vae.encode(x)
            made = vae.decode(mean + torch.randn_like(mean) * (log_variance / 2).exp())
        reconstruction, divergence = reconstruction_loss(made, x), kl(mean, log_variance)
        return {"loss": reconstruction + plan.kl_weight * divergence, "reconstruction": float(reconstruction),
                "kl": float(divergence)}, number

    def evaluate():
        with model.matrix_type(settings):
            made = torch.cat([vae.decode(vae.encode(part)[0]) for part in wanted.split(16)])
        return {"psnr": float(pictures.psnr(made, wanted).mean())}

    training.run(losses, evaluate)


def has_own(settings):
    return os.path.exists(path_in(settings, "vae.pt"))


def of_checkpoint(settings, path):
    """The VAE of a checkpoint and its couplet.spec, for a run that has no VAE, or that one."""
    tensors, spec = safetensors_file.read_model(path)
    vae = model.fill(new_vae(settings), model.VAE_PREFIX, tensors)
    if has_own(settings):
        own = trained(settings).state_dict()
        if any(not torch.equal(own[name], value) for name, value in vae.state_dict().items()):
            raise SystemExit(f"{path_in(settings, 'vae.pt')} is another VAE than that of {path}: "
                             "go on without --start, or with --start in a folder of its own")
    return vae, spec


def keep(settings, vae):
    """Makes it the VAE of this run, which has no other."""
    if not has_own(settings):
        Training("vae", settings, vae, settings.vae, prepare(settings)).save()


def trained(settings):
    return averaged("vae", settings, new_vae(settings))
