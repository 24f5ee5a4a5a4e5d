"""A small network that finds objects in pictures, trained on the composer's own scenes; the judge of what a model draws.

It gives one value for each 4x4 pixels: is an object's centre here, which object, which colour, which background."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import compose
import layouts
import model
import pictures
import safetensors_file
import words
from blocks import GroupNorm, conv
from glyphs import Glyphs
from training import Training, averaged, prepare

CELL = 4           # pixels of one value
NEAR = 0.2         # of an object's size: how far from its centre it still counts as one
THRESHOLD = 0.35   # of the centre map
GROUPS = 8
SIZES, SHARES = [(128, 128), (192, 128), (256, 256)], [0.85, 0.08, 0.07]  # of the scenes it learns from


class Stage(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.layers = nn.Sequential(conv(inputs, outputs, 3, stride), GroupNorm(GROUPS, outputs, silu=True),
                                    conv(outputs, outputs, 3), GroupNorm(GROUPS, outputs, silu=True))

    def forward(self, x):
        return self.layers(x)


class Detector(nn.Module):
    def __init__(self, channels):
        super().__init__()
        wide = 4 * channels
        self.entrance = nn.Sequential(Stage(3, channels, 2), Stage(channels, 2 * channels, 2))
        self.middle = Stage(2 * channels, wide, 2)
        self.deep = nn.Sequential(Stage(wide, wide, 2), Stage(wide, wide))
        self.deepest = nn.Sequential(Stage(wide, wide, 2), Stage(wide, wide))
        self.merge = Stage(wide, wide)
        self.last = Stage(wide + 2 * channels, wide)
        self.centre, self.object = conv(wide, 1, 1), conv(wide, len(words.OBJECT_NAMES), 1)
        self.colour = conv(wide, len(words.COLOURS), 1)
        self.background = conv(wide, len(words.SCENE_NAMES), 1)
        nn.init.constant_(self.centre.bias, -4.0)  # hardly any cell is a centre

    def forward(self, x):
        fine = self.entrance(x)
        middle = self.middle(fine)
        deep = self.deep(middle)
        deep = deep + grown(self.deepest(deep), deep)
        middle = self.merge(middle + grown(deep, middle))
        x = self.last(torch.cat([fine, grown(middle, fine)], 1))
        return {"centre": self.centre(x)[:, 0], "object": self.object(x), "colour": self.colour(x),
                "background": self.background(x)}


def grown(x, like):
    return F.interpolate(x, size=like.shape[2:], mode="nearest")


class Truth:
    """Of one scene, for each cell: how much of a centre, and numbers of object, colour and background (-1: none)."""

    def __init__(self, scene):
        width, height = scene["size"]
        shape = (height // CELL, width // CELL)
        self.centre = np.zeros(shape, np.float32)
        self.object, self.colour, self.background = (np.full(shape, -1, np.int64) for _ in range(3))
        y, x = np.mgrid[:shape[0], :shape[1]] * CELL + CELL / 2
        for region in scene["regions"]:
            if region["background"]:
                x1, x2, y1, y2 = (-(-side // CELL) for side in layouts.pixels(region["rect"], width, height))
                self.background[y1:y2, x1:x2] = words.SCENE_NAMES.index(region["background"])
        for name, colour, cx, cy, size, _ in scene["things"]:
            distance = np.hypot(x - cx, y - cy)
            self.centre = np.maximum(self.centre, np.exp(-0.5 * (distance / max(3.0, 0.1 * size)) ** 2))
            near = distance < max(CELL, NEAR * size)
            self.object[near] = words.OBJECT_NAMES.index(name)
            if colour:
                self.colour[near] = words.COLOURS.index(colour)
            self.background[distance < 0.5 * size] = -1
            self.centre[int(cy // CELL), int(cx // CELL)] = 1.0


def centre_loss(guess, truth):
    """Focal loss around peaks, as in CenterNet."""
    p = guess.float().sigmoid().clamp(1e-4, 1 - 1e-4)
    at_peaks = -((1 - p) ** 2 * p.log())[truth == 1].sum()
    elsewhere = -((1 - truth) ** 4 * p ** 2 * (1 - p).log())[truth < 1].sum()
    return (at_peaks + elsewhere) / (truth == 1).sum().clamp(min=1)


def loss_of(guess, truths, device):
    def stacked(name):
        return torch.from_numpy(np.stack([getattr(truth, name) for truth in truths])).to(device)

    losses = {"centre_loss": centre_loss(guess["centre"], stacked("centre"))}
    for name in ("object", "colour", "background"):
        wanted = stacked(name)
        total = F.cross_entropy(guess[name].float(), wanted, ignore_index=-1, reduction="sum")
        losses[f"{name}_loss"] = total / (wanted >= 0).sum().clamp(min=1)  # not every batch has an object with colours
    return losses


class Found:
    """One object in a picture: x and y in pixels."""

    def __init__(self, name, colour, x, y, score):
        self.name, self.colour, self.x, self.y, self.score = name, colour, x, y, score


class Judge:
    """A trained detector."""

    def __init__(self, network, device):
        self.network, self.device = network.to(device).eval(), device

    @torch.no_grad()
    def look(self, whole):
        """u8 [n, height, width, 3] to a list of Found and a map of background names' numbers for each picture."""
        guess = self.network(pictures.to_tensor(whole, self.device))
        score = guess["centre"].float().sigmoid()
        peaks = (score == F.max_pool2d(score[:, None], 3, 1, 1)[:, 0]) & (score > THRESHOLD)
        objects, colours = guess["object"].argmax(1), guess["colour"].argmax(1)
        seen = []
        for n in range(len(whole)):
            found = []
            for row, column in peaks[n].nonzero().tolist():
                name = words.OBJECT_NAMES[objects[n, row, column]]
                has_colours = bool(words.colours_of(name))
                colour = words.COLOURS[colours[n, row, column]] if has_colours else ""
                found.append(Found(name, colour, column * CELL + CELL / 2, row * CELL + CELL / 2,
                                   float(score[n, row, column])))
            seen.append((without_echoes(found), guess["background"][n].argmax(0).cpu().numpy()))
        return seen


def without_echoes(found):
    """Two centres of one object, a few pixels apart, are one."""
    kept = []
    for one in sorted(found, key=lambda f: -f.score):
        if all(np.hypot(one.x - other.x, one.y - other.y) > 10 for other in kept):
            kept.append(one)
    return kept


class Examples:
    """Composed scenes for training, some of them as the VAE gives them back."""

    def __init__(self, settings, vae, team, step):
        self.settings, self.vae, self.team = settings, vae, team
        self.rng = np.random.default_rng([settings.run.seed, 99, team.rank])
        glyphs, domain = Glyphs(settings.run.font), compose.Domain()
        self.by_size = {}
        for _ in range(team.share(settings.detector.scenes)):
            width, height = SIZES[self.rng.choice(len(SIZES), p=SHARES)]
            scene, picture = compose.scene(self.rng, domain, glyphs, width, height, 0.6)
            self.by_size.setdefault((width, height), []).append((Truth(scene), picture))
        # The scenes are the same each time that a training goes on, what is made of them is not.
        self.rng = np.random.default_rng([settings.run.seed, 99, team.rank, step])

    def batch(self):
        sizes = list(self.by_size)
        shares = np.array([len(self.by_size[size]) for size in sizes], float)
        size = sizes[self.rng.choice(len(sizes), p=shares / shares.sum())]
        number = max(2, self.team.share(self.settings.detector.batch) * 128 ** 2 // (size[0] * size[1]))
        chosen = [self.by_size[size][i] for i in self.rng.integers(len(self.by_size[size]), size=number)]
        x = pictures.to_tensor(np.stack([picture for _, picture in chosen]), self.settings.run.device)
        if self.rng.random() < self.settings.detector.round_trip_share:
            with torch.no_grad():
                mean = self.vae.encode(x)[0]
                x = self.vae.decode(mean + 0.2 * self.rng.random() * mean.std() * torch.randn_like(mean)).clamp(-1, 1)
        return x, [truth for truth, _ in chosen]


def new_detector(settings):
    return Detector(settings.detector.channels).to(settings.run.device)


def run(settings, model_path):
    """model_path: the checkpoint whose VAE makes the round trips."""
    team = prepare(settings, settings.run.team)
    spec, device = safetensors_file.read_model(model_path), settings.run.device
    vae = model.of_file(spec[1], spec[0], device)[1]
    training = Training("detector", settings, new_detector(settings), settings.detector, team)
    # A detector that has had its minutes needs no scenes: none are composed for it.
    examples = Examples(settings, vae, team, training.step) if training.progress < 1 else None

    def losses():
        x, truths = examples.batch()
        with model.matrix_type(settings):
            guess = training.module(x)
        parts = loss_of(guess, truths, device)
        return {"loss": sum(parts.values()), **{name: float(value) for name, value in parts.items()}}, len(x)

    training.run(losses, dict)


def trained(settings):
    return Judge(averaged("detector", settings, new_detector(settings)), settings.run.device)
