"""The settings of a run: configs/base.toml with another file laid over it."""

import os
import tomllib
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.normpath(os.path.join(HERE, "..", "..", "..", ".."))
BUILTIN = os.path.dirname(HERE)


def read_toml(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


def overlay(base, over, where):
    """Values of `over` in the place of those of `base`; a key that base does not know is a mistake."""
    for section, values in over.items():
        for key, value in values.items():
            if key not in base.get(section, {}):
                raise SystemExit(f"{where}: no such setting: {section}.{key}")
            base[section][key] = value
    return base


def read(name, overrides=()):
    """name: of a file in configs/, or its path. overrides: texts such as `unet.minutes=5`, the value written as in TOML."""
    path = name if name.endswith(".toml") else os.path.join(HERE, "configs", name + ".toml")
    settings = overlay(read_toml(os.path.join(HERE, "configs", "base.toml")), read_toml(path), path)
    for override in overrides:
        key, _, value = override.partition("=")
        section, _, key = key.partition(".")
        settings = overlay(settings, {section: tomllib.loads(f"{key} = {value}")}, "--set")
    folder = settings["run"]["folder"]
    settings["run"]["folder"] = os.path.join(REPOSITORY, folder)
    os.makedirs(settings["run"]["folder"], exist_ok=True)
    return SimpleNamespace(**{section: SimpleNamespace(**values) for section, values in settings.items()})


def path_in(settings, *parts):
    """A path in the run's folder; the folders on the way are made."""
    path = os.path.join(settings.run.folder, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path
