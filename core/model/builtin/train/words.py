"""The closed vocabulary: what there is to draw, how it is called and where it comes from.

Whoever adds a word trains anew. The first colour of an object is the one it has where no colour is named.
"""

import json
from collections import namedtuple

# hue: in degrees, turns the glyph's own main hue there; None leaves it as it is.
Look = namedtuple("Look", "glyph hue")
# place: "sky" and "ground" are where it mostly stands in a scene, "any" is anywhere.
Thing = namedtuple("Thing", "plural looks place")

HUES = {"red": 0, "orange": 28, "yellow": 48, "green": 115, "blue": 212, "purple": 275, "pink": 330}
COLOURS = list(HUES)


def plain(plural, glyph, place="any"):
    return Thing(plural, {"": Look(glyph, None)}, place)


def glyphs(plural, place="any", **looks):
    """A glyph of its own for each colour."""
    return Thing(plural, {colour: Look(glyph, None) for colour, glyph in looks.items()}, place)


def tinted(plural, glyph, own, others, place="any"):
    """One glyph, of colour `own` as it is drawn in the font, and turned to the hues of `others`."""
    looks = {own: Look(glyph, None)}
    looks.update({colour: Look(glyph, HUES[colour]) for colour in others.split()})
    return Thing(plural, looks, place)


OBJECTS = {
    "apple": glyphs("apples", red="🍎", green="🍏"),
    "ball": plain("balls", "⚽"),
    "balloon": tinted("balloons", "🎈", "red", "blue green yellow purple pink", "sky"),
    "banana": plain("bananas", "🍌"),
    "bell": plain("bells", "🔔"),
    "boat": plain("boats", "⛵", "ground"),
    "book": glyphs("books", red="📕", green="📗", blue="📘", orange="📙"),
    "burger": plain("burgers", "🍔"),
    "butterfly": tinted("butterflies", "🦋", "orange", "blue pink purple green", "sky"),
    "cactus": plain("cacti", "🌵", "ground"),
    "cake": plain("cakes", "🎂"),
    "car": tinted("cars", "🚗", "red", "blue green yellow purple", "ground"),
    "carrot": plain("carrots", "🥕"),
    "cat": plain("cats", "🐱"),
    "chick": plain("chicks", "🐤", "ground"),
    "crab": plain("crabs", "🦀", "ground"),
    "crown": plain("crowns", "👑"),
    "dog": plain("dogs", "🐶"),
    "donut": plain("donuts", "🍩"),
    "fish": tinted("fishes", "🐟", "blue", "green pink"),
    "fox": plain("foxes", "🦊"),
    "frog": plain("frogs", "🐸"),
    "gem": tinted("gems", "💎", "blue", "green pink purple"),
    "ghost": plain("ghosts", "👻"),
    "gift": plain("gifts", "🎁"),
    "hat": plain("hats", "🎩"),
    "heart": glyphs("hearts", red="❤️", blue="💙", green="💚", purple="💜", yellow="💛", orange="🧡"),
    "house": plain("houses", "🏠", "ground"),
    "lemon": plain("lemons", "🍋"),
    "lion": plain("lions", "🦁"),
    "moon": plain("moons", "🌙", "sky"),
    "mushroom": plain("mushrooms", "🍄", "ground"),
    "octopus": plain("octopuses", "🐙"),
    "owl": plain("owls", "🦉"),
    "panda": plain("pandas", "🐼"),
    "penguin": plain("penguins", "🐧", "ground"),
    "pig": plain("pigs", "🐷"),
    "pineapple": plain("pineapples", "🍍"),
    "pizza": plain("pizzas", "🍕"),
    "pumpkin": plain("pumpkins", "🎃", "ground"),
    "rabbit": plain("rabbits", "🐰"),
    "rainbow": plain("rainbows", "🌈", "sky"),
    "robot": plain("robots", "🤖"),
    "rocket": plain("rockets", "🚀", "sky"),
    "snowman": plain("snowmen", "⛄", "ground"),
    "star": plain("stars", "⭐", "sky"),
    "strawberry": plain("strawberries", "🍓"),
    "sun": plain("suns", "🌞", "sky"),
    "sunflower": plain("sunflowers", "🌻", "ground"),
    "train": plain("trains", "🚂", "ground"),
    "tree": plain("trees", "🌳", "ground"),
    "tulip": tinted("tulips", "🌷", "pink", "red yellow purple", "ground"),
    "turtle": plain("turtles", "🐢", "ground"),
    "umbrella": tinted("umbrellas", "☂️", "purple", "red blue green"),
    "watermelon": plain("watermelons", "🍉"),
    "whale": plain("whales", "🐳"),
}

# Phrases are whole: they need no word in front of them.
SCENES = {
    "night": ["night sky", "in the night sky", "at night", "night"],
    "grass": ["on grass", "grass", "on the grass"],
    "sea": ["sea", "in the sea", "on the sea"],
    "sunset": ["sunset", "at sunset"],
    "desert": ["desert", "in the desert", "on sand"],
    "snow": ["snow", "in the snow", "on snow"],
    "clouds": ["clouds", "in the clouds", "above the clouds"],
    "autumn": ["autumn", "in autumn", "autumn leaves"],
}
PLAIN_BACKGROUNDS = ["blue", "pink", "green", "yellow", "white", "purple"]
for _colour in PLAIN_BACKGROUNDS:
    SCENES[f"{_colour} background"] = [f"{_colour} background", f"on a {_colour} background"]

NUMBERS = {1: ["a", "one"], 2: ["two"], 3: ["three"]}
OBJECT_NAMES = list(OBJECTS)
SCENE_NAMES = list(SCENES)


def all_words():
    """Every word that a caption may hold, sorted."""
    words = {"a", "an", "and", "the", "with", "one", "two", "three", *COLOURS}
    for name, thing in OBJECTS.items():
        words.update((name, thing.plural))
    for phrases in SCENES.values():
        words.update(word for phrase in phrases for word in phrase.split())
    return sorted(words)


def colours_of(name):
    """The colours that an object comes in, its own first; empty where it has but one look."""
    return [colour for colour in OBJECTS[name].looks if colour]


def for_people():
    """What vocabulary.json says."""
    return {
        "objects": {name: {"plural": thing.plural, "colours": " ".join(colours_of(name))}
                    for name, thing in OBJECTS.items()},
        "flat_backgrounds": [f"{colour} background" for colour in PLAIN_BACKGROUNDS],
        "scenes": {name: phrases for name, phrases in SCENES.items() if not name.endswith("background")},
    }


def known_to(path):
    """What a vocabulary.json knows of the objects, their colours and the backgrounds above: older models know fewer."""
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    objects = {name: [c for c in colours_of(name) if c in told["objects"][name]["colours"].split()]
               for name in OBJECT_NAMES if name in told["objects"]}
    scenes = [name for name in SCENE_NAMES if name in told["scenes"] or name in told["flat_backgrounds"]]
    return objects, scenes
