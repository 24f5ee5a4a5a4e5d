"""Backgrounds, drawn by formula: any size, never twice the same. Each gives [height, width, 3] in 0..255."""

import numpy as np


def grid(width, height):
    """Columns and rows as arrays that numpy spreads to [height, width]."""
    return np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]


def shades(height, top, bottom, bend=1.0):
    """From one colour to another: [height, 1, 3], for any width."""
    amount = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** bend
    return np.asarray(top, np.float32) * (1 - amount) + np.asarray(bottom, np.float32) * amount


def gradient(width, height, top, bottom, bend=1.0):
    return np.repeat(shades(height, top, bottom, bend), width, 1)


def hill(width, height, rng, level, swing):
    """1 below a wavy line near `level` of the height, 0 above it, with a soft edge of one pixel."""
    x, y = grid(width, height)
    base = height * (level + rng.uniform(-0.06, 0.06))
    line = base + height * swing * np.sin(x / width * rng.uniform(2, 5) + rng.uniform(0, 6.28))
    line = line + height * swing * 0.5 * np.sin(x / width * rng.uniform(6, 10) + rng.uniform(0, 6.28))
    return np.clip(y - line + 0.5, 0, 1)


def over(picture, colours, mask):
    """colours: one, or shades. mask: [height, width] in 0..1."""
    return picture * (1 - mask[..., None]) + colours * mask[..., None]


def discs(picture, rng, count, radii, colour, region=(0, 1), squash=1.0):
    """Soft discs, drawn into the picture; region: the part of the height that their centres are in."""
    height, width = picture.shape[:2]
    x, y = grid(width, height)
    for _ in range(count):
        radius = rng.uniform(*radii)
        cx, cy = rng.uniform(0, width), rng.uniform(region[0], region[1]) * height
        # Only the pixels around it are worked on.
        columns = slice(max(0, int(cx - radius) - 1), int(cx + radius) + 2)
        rows = slice(max(0, int(cy - radius) - 1), int(cy + radius) + 2)
        distance = np.sqrt((x[:, columns] - cx) ** 2 + ((y[rows] - cy) * squash) ** 2)
        soft = np.clip(radius - distance + 0.5, 0, 1)
        picture[rows, columns] = over(picture[rows, columns], np.asarray(colour, np.float32), soft)
    return picture


def per_area(width, height, count):
    """`count` of a canvas of 128x128, as many for this one."""
    return max(1, round(count * width * height / 128 ** 2))


def night(width, height, rng):
    sky = gradient(width, height, (10, 12, 48), (34, 38, 96))
    sky = discs(sky, rng, per_area(width, height, 26), (0.5, 1.3), (255, 250, 214), (0, 0.8))
    return over(sky, shades(height, (28, 28, 66), (16, 16, 44)), hill(width, height, rng, 0.85, 0.02))


def grass(width, height, rng):
    sky = gradient(width, height, (112, 186, 248), (208, 236, 255))
    back = shades(height, (126, 198, 84), (92, 168, 62))
    front = shades(height, (76, 160, 60), (44, 116, 40))
    sky = over(sky, back, hill(width, height, rng, 0.52, 0.05))
    return over(sky, front, hill(width, height, rng, 0.68, 0.04))


def sea(width, height, rng):
    picture = gradient(width, height, (150, 210, 250), (226, 244, 255))
    for level, low, high in ((0.42, (30, 110, 190), (52, 140, 216)), (0.62, (20, 86, 166), (34, 112, 194)),
                             (0.82, (12, 64, 136), (22, 88, 168))):
        picture = over(picture, shades(height, high, low), hill(width, height, rng, level, 0.022))
    return picture


def sunset(width, height, rng):
    sky = gradient(width, height, (96, 56, 130), (255, 152, 84), 0.8)
    sky = discs(sky, rng, 3, (5, 9), (255, 176, 120), (0.35, 0.6), squash=4.0)
    return over(sky, shades(height, (130, 58, 84), (84, 36, 70)), hill(width, height, rng, 0.8, 0.03))


def desert(width, height, rng):
    sky = gradient(width, height, (190, 222, 238), (248, 238, 210))
    sky = over(sky, shades(height, (232, 194, 126), (206, 160, 96)), hill(width, height, rng, 0.55, 0.05))
    return over(sky, shades(height, (216, 170, 100), (184, 132, 72)), hill(width, height, rng, 0.74, 0.05))


def snow(width, height, rng):
    sky = gradient(width, height, (128, 152, 190), (188, 206, 228))
    sky = discs(sky, rng, per_area(width, height, 18), (0.7, 1.6), (250, 252, 255))
    return over(sky, shades(height, (250, 252, 255), (222, 232, 246)), hill(width, height, rng, 0.66, 0.04))


def clouds(width, height, rng):
    sky = gradient(width, height, (58, 142, 232), (140, 200, 250))
    count = per_area(width, height, 5)
    sky = discs(sky, rng, count, (10, 16), (232, 242, 252), (0.05, 0.7), squash=1.8)
    return discs(sky, rng, 2 * count, (9, 15), (255, 255, 255), (0.75, 1.0), squash=1.3)


def autumn(width, height, rng):
    sky = gradient(width, height, (240, 222, 190), (250, 206, 140))
    ground = shades(height, (190, 104, 40), (140, 70, 28))
    picture = over(sky, ground, hill(width, height, rng, 0.62, 0.05))
    count = per_area(width, height, 9)
    picture = discs(picture, rng, count, (1.5, 2.8), (214, 68, 34), squash=1.6)
    return discs(picture, rng, count, (1.5, 2.8), (240, 160, 40), squash=1.6)


def flat(colour):
    def draw(width, height, rng):
        light = np.clip(np.asarray(colour, np.float32) * 1.05 + 6, 0, 255)
        return gradient(width, height, light, colour)
    return draw


DRAWN = {
    "night": night, "grass": grass, "sea": sea, "sunset": sunset, "desert": desert, "snow": snow, "clouds": clouds,
    "autumn": autumn,
    "blue background": flat((104, 170, 246)), "pink background": flat((248, 172, 204)),
    "green background": flat((150, 216, 150)), "yellow background": flat((248, 220, 116)),
    "white background": flat((242, 242, 242)), "purple background": flat((176, 140, 224)),
}


def draw(name, width, height, rng):
    return DRAWN[name](width, height, rng)
