"""Batches for the UNet: scenes of one size and one number of regions each, their latents, captions and masks."""

import os

import numpy as np
import torch

import captions
import latents
import layouts
import pictures
from scenes import read_lines

TRIES = 20  # to find a wording that fits into a chunk


class Batch:
    """latents: [n, z, h, w], scaled; ids: [n, regions, context_length]; masks: of each level [n, regions, cells], or None."""

    def __init__(self, latents_, ids, masks):
        self.latents, self.ids, self.masks = latents_, ids, masks


def kind_of(scene):
    """The kind of its layout; one region with objects of several names is `mixed`."""
    return "mixed" if scene["kind"] == "plain" and len(scene["regions"][0]["objects"]) > 1 else scene["kind"]


class Group:
    """All scenes of one size and one number of regions."""

    def __init__(self, size, regions):
        self.size, self.regions, self.scenes = size, regions, []  # of (mapped latents, index, scene)
        self.ends = []  # of each scene, the sum of the weights up to it

    @property
    def share(self):
        return self.ends[-1]

    def add(self, mapped, index, scene, weight):
        self.ends.append((self.ends[-1] if self.ends else 0.0) + weight)
        self.scenes.append((mapped, index, scene))

    def pick(self, rng, number):
        """`number` of its scenes, as often as their weights say."""
        return [self.scenes[i] for i in np.searchsorted(self.ends, rng.random(number) * self.share, side="right")]


class Scenes:
    def __init__(self, settings, paths, tokenizer, rng, batch):
        self.settings, self.tokenizer, self.rng, self.of_128 = settings, tokenizer, rng, batch
        self.scale = latents.description(settings)["scaling_factor"]
        self.levels = len(settings.unet.channel_mult)
        self.length = settings.text.context_length
        whole, joined = {}, {}
        for path in paths:
            self.add(path, whole, joined)
        self.plain = [group for group in whole.values() if group.regions == 1]
        self.coupled = [group for group in whole.values() if group.regions > 1]
        # Regions that one caption can name whole: one cut short would teach that there is more than was asked for.
        self.joined = [group for group in joined.values() if group.regions > 1]

    def add(self, path, whole, joined):
        mapped = np.load(latents.path_of(self.settings, path), mmap_mode="r")
        for i, scene in enumerate(read_lines(path)):
            regions = scene["regions"]
            for groups in (whole, joined) if self.fits(captions.describe_joined(regions)) else (whole,):
                group = groups.setdefault((*scene["size"], len(regions)), Group(scene["size"], len(regions)))
                group.add(mapped, i, scene, self.settings.unet.kind_weights.get(kind_of(scene), 1.0))

    def fits(self, text):
        return self.tokenizer.fits(text, self.length)

    def pick(self, groups):
        shares = np.array([group.share for group in groups])
        return groups[self.rng.choice(len(groups), p=shares / shares.sum())]

    def size_of_batch(self, group):
        """Larger pictures in smaller batches: a step then takes about as long."""
        width, height = group.size
        return max(1, self.of_128 * 128 ** 2 // (width * height))

    def texts(self, scene, coupled):
        """The captions of one sample; dropped for guidance all at once."""
        regions = scene["regions"]
        if self.rng.random() < self.settings.unet.caption_drop:
            return [""] * (len(regions) if coupled else 1)
        if coupled:
            return [captions.describe(region, self.rng) for region in regions]
        tries = (captions.describe_joined(regions, self.rng) for _ in range(TRIES))
        return [next(filter(self.fits, tries), captions.describe_joined(regions))]

    def masks(self, chosen, group):
        width, height = group.size
        made = []
        for level in range(self.levels):
            columns, rows = (-(-side // (8 << level)) for side in (width, height))  # halved, rounding up
            masks = [layouts.masks([r["rect"] for r in scene["regions"]], [r["weight"] for r in scene["regions"]],
                                   width, height, columns, rows) for _, _, scene in chosen]
            made.append(torch.from_numpy(np.stack(masks)).to(self.settings.run.device))
        return made

    def make(self, group, coupled):
        device = self.settings.run.device
        chosen = group.pick(self.rng, self.size_of_batch(group))
        z = torch.from_numpy(np.stack([mapped[i] for mapped, i, _ in chosen])).to(device).float() * self.scale
        ids = [[self.tokenizer.ids(text, self.length) for text in self.texts(scene, coupled)] for _, _, scene in chosen]
        return Batch(z, torch.tensor(ids, device=device), self.masks(chosen, group) if coupled else None)

    def batch(self):
        if self.rng.random() < self.settings.unet.coupled_share:
            return self.make(self.pick(self.coupled), True)
        joined = self.joined and self.rng.random() < self.settings.unet.joined_share
        return self.make(self.pick(self.joined if joined else self.plain), False)


def training_and_held_out(settings, tokenizer, rng, team):
    """The last file of each size is held out. Sizes of which there is but one file are trained on whole."""
    trained, held = [], []
    for size in sorted({os.path.basename(path).split("-")[0] for path in pictures.all_files(settings)}):
        paths = pictures.all_files(settings, size)
        trained += paths[:-1] or paths
        held += paths[-1:] if len(paths) > 1 else []
    batch = settings.unet.batch
    return (Scenes(settings, trained, tokenizer, rng, team.share(batch)),
            Scenes(settings, held, tokenizer, np.random.default_rng(0), batch))
