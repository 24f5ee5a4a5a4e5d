"""The noise that the model learns to take away, and how couplet takes it away step by step."""

import numpy as np
import torch


class Noise:
    """Scaled linear betas of a couplet.spec, in double as couplet's are."""

    def __init__(self, spec):
        steps = spec["num_train_timesteps"]
        betas = np.linspace(spec["beta_start"] ** 0.5, spec["beta_end"] ** 0.5, steps) ** 2
        self.alphas = np.cumprod(1 - betas)  # the picture's share of the variance
        self.sigmas = np.sqrt((1 - self.alphas) / self.alphas)

    def add(self, z, steps, noise):
        alphas = torch.from_numpy(self.alphas).to(z.device).float()[steps][:, None, None, None]
        return alphas.sqrt() * z + (1 - alphas).sqrt() * noise

    def weights(self, steps, min_snr, high_noise=0.0):
        """min(snr, min_snr) / snr: the loss of an epsilon prediction else sees hardly anything but the smallest noise. Where
        there is more noise than picture, times snr ** -high_noise besides: with 0.5 that is sigma."""
        alphas = torch.from_numpy(self.alphas).to(steps.device).float()[steps]
        snr = alphas / (1 - alphas)
        return snr.clamp(max=min_snr) / snr * snr.clamp(max=1) ** -high_noise

    def karras(self, number, rho=7):
        """`number` sigmas from the model's largest to its smallest, and 0."""
        ramp = np.linspace(0, 1, number)
        low, high = self.sigmas[0] ** (1 / rho), self.sigmas[-1] ** (1 / rho)
        return [*(high + ramp * (low - high)) ** rho, 0.0]

    def step_of(self, sigma):
        """The whole time step that is nearest in log sigma."""
        return int(np.abs(np.log(self.sigmas) - np.log(sigma)).argmin())


@torch.no_grad()
def sample(denoiser, noise, start, positive, negative, steps, cfg):
    """Euler over Karras steps with guidance. start: noise of variance 1. Gives x before each step, and the result."""
    sigmas = noise.karras(steps)
    x = start * sigmas[0]
    states = [x]
    for sigma, following in zip(sigmas, sigmas[1:]):
        scaled = x / (sigma ** 2 + 1) ** 0.5
        time = torch.full((len(x),), noise.step_of(sigma), device=x.device)
        wanted, unwanted = (denoiser.unet(scaled, time, text) for text in (positive, negative))
        # Epsilon is the derivative of x by sigma.
        x = x + (unwanted + cfg * (wanted - unwanted)) * (following - sigma)
        states.append(x)
    return states
