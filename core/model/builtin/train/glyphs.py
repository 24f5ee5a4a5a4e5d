"""Objects as pictures: glyphs of Noto Color Emoji, some of them in other hues."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import words

FONT_SIZE = 109  # the only size of the font's bitmaps
CANVAS = 136
HUE_RANGE = 45   # degrees around the main hue that turn with it: petals do, the stem stays green


def draw_glyph(font, text):
    """The glyph cut to what it covers: RGBA."""
    canvas = Image.new("RGBA", (2 * CANVAS, 2 * CANVAS), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((20, 20), text, font=font, embedded_color=True)
    return canvas.crop(canvas.getbbox())


def main_hue(hue, saturation, alpha):
    """In PIL's 0..255: the hue that most of the colour has."""
    weights = saturation * (alpha > 128) * (saturation > 80)
    return int(np.bincount(hue.ravel(), weights=weights.ravel(), minlength=256).argmax())


def turn_hue(image, degrees):
    """The main hue to `degrees`, and what is near to it by as much."""
    hsv = np.array(image.convert("RGB").convert("HSV")).astype(np.int32)
    hue, saturation = hsv[..., 0], hsv[..., 1]
    alpha = np.array(image)[..., 3]
    main = main_hue(hue, saturation, alpha)
    distance = np.abs((hue - main + 128) % 256 - 128)
    near = distance < HUE_RANGE * 256 // 360
    hsv[..., 0] = np.where(near, (hue + degrees * 256 // 360 - main) % 256, hue)
    turned = Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB")
    turned.putalpha(image.getchannel("A"))
    return turned


class Glyphs:
    """All looks of all objects; made once a process."""

    def __init__(self, font_path):
        font = ImageFont.truetype(font_path, FONT_SIZE)
        self.images = {}
        for name, thing in words.OBJECTS.items():
            for colour, look in thing.looks.items():
                image = draw_glyph(font, look.glyph)
                self.images[name, colour] = image if look.hue is None else turn_hue(image, look.hue)

    def sized(self, name, colour, size):
        """RGBA whose longer side is `size` pixels."""
        image = self.images[name, colour]
        scale = size / max(image.size)
        return image.resize([max(1, round(side * scale)) for side in image.size], Image.LANCZOS)
