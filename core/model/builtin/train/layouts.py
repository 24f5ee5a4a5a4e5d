"""The kinds of layouts that scenes are composed in, and the masks that couplet makes of them."""

import numpy as np

# A rectangle is [x1, x2, y1, y2] in 0..1, as in a layout file.


def whole_cells(size, fraction):
    """The cut nearest to `fraction` that lies between two latent cells of 8 pixels."""
    return round(fraction * size / 8) * 8 / size


class Cuts:
    """Where a layout is cut: exactly even without rng, else somewhere near."""

    def __init__(self, width, height, rng=None):
        self.width, self.height, self.rng = width, height, rng

    def near(self, fraction, size, spread):
        shift = self.rng.uniform(-spread, spread) if self.rng else 0
        return whole_cells(size, fraction + shift)

    def x(self, fraction, spread=0.12):
        return self.near(fraction, self.width, spread)

    def y(self, fraction, spread=0.12):
        return self.near(fraction, self.height, spread)


def plain(cuts):
    return [[0, 1, 0, 1]]


def columns2(cuts):
    x = cuts.x(1 / 2)
    return [[0, x, 0, 1], [x, 1, 0, 1]]


def rows2(cuts):
    y = cuts.y(1 / 2)
    return [[0, 1, 0, y], [0, 1, y, 1]]


def columns3(cuts):
    a, b = cuts.x(1 / 3, 0.04), cuts.x(2 / 3, 0.04)
    return [[0, a, 0, 1], [a, b, 0, 1], [b, 1, 0, 1]]


def one_over_two(cuts):
    x, y = cuts.x(1 / 2), cuts.y(1 / 2)
    return [[0, 1, 0, y], [0, x, y, 1], [x, 1, y, 1]]


def quarters(cuts):
    x, y = cuts.x(1 / 2, 0.08), cuts.y(1 / 2, 0.08)
    return [[0, x, 0, y], [x, 1, 0, y], [0, x, y, 1], [x, 1, y, 1]]


def box(cuts):
    return [[0, 1, 0, 1], [cuts.x(1 / 4, 0.1), cuts.x(3 / 4, 0.1), cuts.y(1 / 4, 0.1), cuts.y(3 / 4, 0.1)]]


def stripes8(cuts):
    """Along the shorter way where there is a choice of the dice, else upright."""
    flat = cuts.rng is not None and cuts.rng.random() < 0.5
    return [[0, 1, i / 8, (i + 1) / 8] if flat else [i / 8, (i + 1) / 8, 0, 1] for i in range(8)]


KINDS = {"plain": plain, "columns2": columns2, "rows2": rows2, "columns3": columns3, "one_over_two": one_over_two,
         "quarters": quarters, "box": box, "stripes8": stripes8}
REGION_KINDS = [kind for kind in KINDS if kind != "plain"]
STRIPES_FROM = 256  # pixels: thinner stripes have no room for an object
BOX_WEIGHTS = [1.0, 2.0, 4.0]  # of the box over its background


def kinds_for(width, height):
    return [kind for kind in REGION_KINDS if kind != "stripes8" or min(width, height) >= STRIPES_FROM]


def make(kind, width, height, rng=None):
    """Rectangles and weights. Without rng the even layout that models are judged by."""
    rects = KINDS[kind](Cuts(width, height, rng))
    weights = [1.0] * len(rects)
    if kind == "box":
        weights[1] = BOX_WEIGHTS[rng.integers(len(BOX_WEIGHTS))] if rng else 4.0
    return rects, weights


def pixels(rect, width, height):
    """x1, x2, y1, y2 as couplet cuts a rectangle: truncated, the product in double."""
    return int(width * rect[0]), int(width * rect[1]), int(height * rect[2]), int(height * rect[3])


def masks(rects, weights, width, height, columns, rows):
    """[regions, rows * columns] in f32: weights at the top left pixel of each token's cell, their sum is 1."""
    x = np.arange(columns) * width // columns
    y = np.arange(rows) * height // rows
    raw = np.zeros((len(rects), rows, columns), np.float32)
    for mask, rect, weight in zip(raw, rects, weights):
        x1, x2, y1, y2 = pixels(rect, width, height)
        mask[np.ix_((y >= y1) & (y < y2), (x >= x1) & (x < x2))] = weight
    return (raw / raw.sum(0)).reshape(len(rects), rows * columns)
