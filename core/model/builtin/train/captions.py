"""What a region's content is called: in one fixed way, or in any of the ways that the model shall understand."""

import words

# A region holds {"background": name or None, "objects": [[name, colour or "", count], ...]}.


def object_phrase(name, colour, count, rng=None):
    number = words.NUMBERS[count][0]
    if rng and count == 1 and rng.random() < 0.15:
        number = "one"
    # An object's own colour is mostly left unsaid, any other never is.
    own = words.colours_of(name)[:1] == [colour]
    said = colour and (not own or (rng and rng.random() < 0.4))
    noun = words.OBJECTS[name].plural if count > 1 else name
    phrase = f"{colour} {noun}" if said else noun
    if number == "a" and phrase[0] in "aeiou":
        number = "an"
    return f"{number} {phrase}"


def background_phrase(name, rng=None):
    phrases = words.SCENES[name]
    return phrases[rng.integers(len(phrases))] if rng else phrases[0]


def joined_objects(phrases, rng=None):
    if len(phrases) < 2:
        return "".join(phrases)
    if rng and rng.random() < 0.4:
        return ", ".join(phrases)
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]


def describe(region, rng=None):
    """With rng: phrases in any order and wording. Without: "a cat and two red hearts, night sky"."""
    phrases = [object_phrase(*thing, rng) for thing in region["objects"]]
    if rng:
        rng.shuffle(phrases)
    parts = [joined_objects(phrases, rng)] if phrases else []
    # A text without a background is one too: the model then picks one.
    unsaid = rng and phrases and rng.random() < 0.1
    if region["background"] and not unsaid:
        parts.append(background_phrase(region["background"], rng))
        if rng and rng.random() < 0.3:
            parts.reverse()
    return (" " if rng and rng.random() < 0.25 else ", ").join(parts)


def describe_joined(regions, rng=None):
    """All regions under one caption, in any order: who knows no regions can say no more."""
    lines = [describe(region, rng) for region in regions]
    if rng:
        rng.shuffle(lines)
    return ", ".join(line for line in lines if line)
