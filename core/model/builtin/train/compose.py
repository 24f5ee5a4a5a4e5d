"""Scenes: regions with a background and objects, the picture of them, and where everything is."""

import numpy as np
from PIL import Image

import backgrounds
import layouts
import words

LARGEST, SMALLEST = 76, 14   # pixels of an object's longer side: a network this small knows few sizes of 56 objects
TRIES = 40                   # at a place that is free


class Domain:
    """What may be drawn: all of it, or what an older model knows."""

    def __init__(self, objects=None, scenes=None):
        self.colours = objects if objects is not None else {name: words.colours_of(name) for name in words.OBJECTS}
        self.names = list(self.colours)
        self.scenes = scenes if scenes is not None else words.SCENE_NAMES

    def scene(self, rng):
        return self.scenes[rng.integers(len(self.scenes))]

    def object(self, rng, taken=()):
        """A name and a colour."""
        free = [name for name in self.names if name not in taken]
        name = free[rng.integers(len(free))]
        colours = self.colours[name] or words.colours_of(name)[:1] or [""]
        return name, colours[rng.integers(len(colours))]


def counts(rng, most):
    """How many of each kind: at most `most` in all."""
    patterns = {1: [[1]], 2: [[1], [2], [1, 1]], 3: [[1], [2], [3], [1, 1], [2, 1]],
                4: [[1], [2], [3], [1, 1], [2, 1], [1, 1, 1], [2, 2], [3, 1], [1, 1, 2]]}
    shares = {1: [1], 2: [3, 1, 1], 3: [4, 2, 2, 2, 1], 4: [6, 3, 3, 3, 2, 2, 1, 1, 1]}
    shares = np.array(shares[most], float)
    return patterns[most][rng.choice(len(shares), p=shares / shares.sum())]


def room(rect, width, height):
    x1, x2, y1, y2 = layouts.pixels(rect, width, height)
    return x2 - x1, y2 - y1


def most_objects(rect, width, height):
    """As many as can be told apart in a rectangle."""
    w, h = room(rect, width, height)
    return int(np.clip(w * h // 40 ** 2, 1, 4)) if min(w, h) >= 28 else 1


def plan_region(rng, domain, rect, width, height, taken):
    objects = []
    if rng.random() > 0.05:
        for count in counts(rng, most_objects(rect, width, height)):
            name, colour = domain.object(rng, taken)
            taken.add(name)
            objects.append([name, colour, int(count)])
    return {"rect": rect, "background": domain.scene(rng), "objects": objects}


def plan(rng, domain, width, height, kind):
    """What shall be seen: {"size", "kind", "regions": [{"rect", "weight", "background", "objects"}]}."""
    rects, weights = layouts.make(kind, width, height, rng)
    # The same object now and then in two regions: a region must not take it for the other's.
    taken, repeats = set(), rng.random() < 0.15
    regions = []
    for rect, weight in zip(rects, weights):
        regions.append({**plan_region(rng, domain, rect, width, height, set() if repeats else taken), "weight": weight})
    if kind != "plain" and rng.random() < 0.2:
        for region in regions:
            region["background"] = regions[0]["background"]
    if kind == "box":
        regions[0]["objects"] = []
        if regions[1]["objects"] and rng.random() < 0.6:
            regions[1]["background"] = None  # the object stands on what is around it
    return {"size": [width, height], "kind": kind, "regions": regions}


def object_size(rng, w, h, number, attempt):
    """For `number` objects in w x h pixels; smaller where earlier attempts found no room."""
    size = np.sqrt(w * h / number) * rng.uniform(0.55, 0.82) * 0.93 ** attempt
    return float(np.clip(size, SMALLEST, min(LARGEST * rng.uniform(0.65, 1), 0.92 * min(w, h))))


def centre(rng, low, high, size, place):
    """A coordinate between low and high for something of `size`. place: in 0..1 where it shall mostly be, or None."""
    first, last = low + size / 2, high - size / 2
    if last <= first:
        return (low + high) / 2
    if place is None or rng.random() < 0.15:
        return rng.uniform(first, last)
    wanted = first + (last - first) * place
    return float(np.clip(wanted + rng.uniform(-0.25, 0.25) * (last - first), first, last))


def free_place(rng, bounds, size, place, things, alone):
    """x, y that keeps clear of the things of this region, or None. What is alone mostly stands in the middle: a network has to
    decide on one of all places where a thing may be, and where these are many it now and then decides on none, or on two."""
    x1, x2, y1, y2 = bounds
    middle = 0.5 if alone else None
    wanted = {"sky": 0.3, "ground": 0.8, "any": middle}[place]
    for _ in range(TRIES):
        x, y = centre(rng, x1, x2, size, middle), centre(rng, y1, y2, size, wanted)
        if all(np.hypot(x - other[2], y - other[3]) > 0.48 * (size + other[4]) for other in things):
            return x, y
    return None


def place_objects(rng, region, index, width, height, attempt):
    """[[name, colour, x, y, size, region]], or None where no room was found."""
    bounds = layouts.pixels(region["rect"], width, height)
    wanted = [(name, colour) for name, colour, count in region["objects"] for _ in range(count)]
    things = []
    for name, colour in wanted:
        size = object_size(rng, bounds[1] - bounds[0], bounds[3] - bounds[2], len(wanted), attempt)
        found = free_place(rng, bounds, size, words.OBJECTS[name].place, things, len(wanted) == 1)
        if not found:
            return None
        things.append([name, colour, round(found[0], 1), round(found[1], 1), round(size, 1), index])
    return things


def draw_background(rng, regions, width, height):
    picture = np.zeros((height, width, 3), np.float32)
    for region in regions:
        if region["background"]:
            x1, x2, y1, y2 = layouts.pixels(region["rect"], width, height)
            picture[y1:y2, x1:x2] = backgrounds.draw(region["background"], x2 - x1, y2 - y1, rng)
    return picture


def draw(rng, scene, glyphs):
    """Adds "things" to the scene and gives its picture, u8 [height, width, 3]."""
    width, height = scene["size"]
    picture = Image.fromarray(np.clip(draw_background(rng, scene["regions"], width, height), 0, 255).astype(np.uint8))
    scene["things"] = []
    for index, region in enumerate(scene["regions"]):
        attempt, things = 0, None
        while things is None:
            things = place_objects(rng, region, index, width, height, attempt)
            attempt += 1
        for name, colour, x, y, size, _ in things:
            image = glyphs.sized(name, colour, size)
            picture.paste(image, (round(x - image.width / 2), round(y - image.height / 2)), image)
        scene["things"] += things
    return np.asarray(picture)


def scene(rng, domain, glyphs, width, height, region_share):
    """One training scene and its picture."""
    kinds = layouts.kinds_for(width, height)
    kind = kinds[rng.integers(len(kinds))] if rng.random() < region_share else "plain"
    planned = plan(rng, domain, width, height, kind)
    return planned, draw(rng, planned, glyphs)
