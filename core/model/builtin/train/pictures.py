"""Composed pictures as training wants them."""

import glob

import numpy as np
import torch

from settings import path_in


def all_files(settings, size="*"):
    return sorted(glob.glob(path_in(settings, "scenes", f"{size}-*.npy")))


def files(settings, size):
    """The pictures' files of a size such as "128x128"; the last one is held out, never trained on."""
    found = all_files(settings, size)
    if len(found) < 2:
        raise SystemExit(f"{len(found)} files of scenes of {size}: two or more are needed (stage scenes)")
    return found[:-1], found[-1]


def to_tensor(pictures, device):
    """u8 [n, height, width, 3] to -1..1 [n, 3, height, width]."""
    pixels = torch.from_numpy(np.array(pictures)).to(device)
    return pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


def to_bytes(pictures):
    """-1..1 [n, 3, height, width] to u8 [n, height, width, 3], truncated as couplet's are."""
    return (pictures.add(1).div(2).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


class Crops:
    """Random crops of random pictures."""

    def __init__(self, paths, rng):
        self.mapped, self.rng = [np.load(path, mmap_mode="r") for path in paths], rng

    def batch(self, number, side):
        pictures = np.empty((number, side, side, 3), np.uint8)
        for picture in pictures:
            whole = self.mapped[self.rng.integers(len(self.mapped))]
            n, height, width, _ = whole.shape
            i, y, x = (int(self.rng.integers(limit)) for limit in (n, height - side + 1, width - side + 1))
            picture[:] = whole[i, y:y + side, x:x + side]
        return pictures


def psnr(a, b):
    """Of pictures in -1..1, each on its own; decibels."""
    return 10 * torch.log10(4 / (a.clamp(-1, 1) - b).pow(2).flatten(1).mean(1))
