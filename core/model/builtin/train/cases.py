"""What models are asked to draw when they are judged: fixed by seeds, so that every model gets the same questions (or, where
it knows fewer words, the same as every other that knows as many)."""

import numpy as np

import captions
import compose
import layouts
import words

SEED = 2026
PICTURE_SEED = 100  # of the first picture of each kind
PLAIN_KINDS = ["single", "counts", "colours", "pairs"]
SIZES = {"stripes8": (256, 256)}  # else 128x128


class Case:
    """scene: as the composer plans one. prompts: one for each region."""

    def __init__(self, kind, scene, seed):
        self.kind, self.scene, self.seed = kind, scene, seed
        self.prompts = [captions.describe(region) for region in scene["regions"]]

    def layout(self, joined=False):
        """As a layout file; joined: all prompts in one region, which is all that a plain prompt can say."""
        width, height = self.scene["size"]
        regions = [{"rect": region["rect"], "weight": region["weight"], "prompt": prompt}
                   for region, prompt in zip(self.scene["regions"], self.prompts)]
        if joined:
            regions = [{"rect": [0, 1, 0, 1], "prompt": ", ".join(prompt for prompt in self.prompts)}]
        return {"couplet": 1, "canvas": {"width": width, "height": height}, "mode": "advanced", "regions": regions,
                "sampling": {"seed": self.seed}}


def plain_objects(kind, rng, domain):
    if kind == "pairs":
        first = domain.object(rng)[0]
        return [[first, own_colour(first), 1], [(other := domain.object(rng, {first})[0]), own_colour(other), 1]]
    if kind == "colours":
        coloured = [name for name in domain.names if len(domain.colours[name]) > 1]
        name = coloured[rng.integers(len(coloured))]
        colours = domain.colours[name][1:]
        return [[name, colours[rng.integers(len(colours))], 1]]
    name = domain.object(rng)[0]
    return [[name, own_colour(name), int(rng.integers(1, 4)) if kind == "counts" else 1]]


def own_colour(name):
    return (words.colours_of(name) or [""])[0]


def plain_scene(kind, rng, domain):
    region = {"rect": [0, 1, 0, 1], "weight": 1.0, "background": domain.scene(rng),
              "objects": plain_objects(kind, rng, domain)}
    return {"size": [128, 128], "kind": "plain", "regions": [region]}


def region_scene(kind, rng, domain):
    """One object and one background a region, none of them twice; the box has no background of its own, and what is
    around it no object."""
    width, height = SIZES.get(kind, (128, 128))
    rects, weights = layouts.make(kind, width, height)
    names = rng.permutation(domain.names)[:len(rects)]
    scenes = rng.permutation(domain.scenes)[:len(rects)]
    regions = [{"rect": rect, "weight": weight, "background": str(scene), "objects": [[str(name), own_colour(name), 1]]}
               for rect, weight, scene, name in zip(rects, weights, scenes, names)]
    if kind == "box":
        regions[0]["objects"], regions[1]["background"] = [], None
    return {"size": [width, height], "kind": kind, "regions": regions}


def make(kind, number, domain):
    """The first `number` cases of a kind."""
    made = []
    for i in range(number):
        rng = np.random.default_rng([SEED, (PLAIN_KINDS + layouts.REGION_KINDS).index(kind), i])
        scene = (plain_scene if kind in PLAIN_KINDS else region_scene)(kind, rng, domain)
        made.append(Case(kind, scene, PICTURE_SEED + i))
    return made


def domain_of(vocabulary_path):
    return compose.Domain(*words.known_to(vocabulary_path))
