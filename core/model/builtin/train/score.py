"""How much of a case is in a picture, by what the detector sees there."""

import numpy as np

import layouts
import words
from detector import CELL

MEASURES = ["in_region", "elsewhere", "duplicates", "count", "colour", "background", "stranger", "all_right"]


def inside(thing, rect, size):
    x1, x2, y1, y2 = layouts.pixels(rect, *size)
    return x1 <= thing.x < x2 and y1 <= thing.y < y2


def background_of(region, backgrounds, size):
    """Is most of the region what it shall be?"""
    x1, x2, y1, y2 = (side // CELL for side in layouts.pixels(region["rect"], *size))
    numbers = np.bincount(backgrounds[y1:y2, x1:x2].ravel(), minlength=len(words.SCENE_NAMES))
    return words.SCENE_NAMES[numbers.argmax()] == region["background"]


class Score:
    """Sums of one kind of cases: of each measure how often it is so, of how often it could be.

    in_region: an object that was asked for is in its region. elsewhere: it is (also) outside of it. duplicates: there are
    more of it in the region than asked for. count: as many as asked for. colour: every one there has the colour. background:
    most of the region is. stranger: a picture has an object that nobody asked for. all_right: a picture has everything in
    its region, as many as asked for or more, nothing elsewhere and no stranger."""

    def __init__(self):
        self.sums = {measure: [0, 0] for measure in MEASURES}

    def note(self, measure, value):
        self.sums[measure][0] += bool(value)
        self.sums[measure][1] += 1

    def add(self, scene, found, backgrounds):
        size, right = scene["size"], True
        wanted = {name for region in scene["regions"] for name, _, _ in region["objects"]}
        for region in scene["regions"]:
            for name, colour, count in region["objects"]:
                right = self.add_object(region, size, found, name, colour, count) and right
            if region["background"]:
                self.note("background", background_of(region, backgrounds, size))
        strange = any(thing.name not in wanted for thing in found)
        self.note("stranger", strange)
        self.note("all_right", right and not strange)
        return right and not strange

    def add_object(self, region, size, found, name, colour, count):
        there = [thing for thing in found if thing.name == name]
        here = [thing for thing in there if inside(thing, region["rect"], size)]
        self.note("in_region", here)
        self.note("elsewhere", len(there) > len(here))
        self.note("duplicates", len(here) > count)
        self.note("count", len(here) == count)
        if here and colour:
            self.note("colour", all(thing.colour == colour for thing in here))
        return len(here) >= count and len(there) == len(here)

    def percent(self):
        return {measure: round(100 * true / all_, 1) for measure, (true, all_) in self.sums.items() if all_}
