"""Small files that are there whole or not at all."""

import os


def write_text(path, text):
    """By another name first: a stage may be stopped at any time, and the other processes of a team may be reading."""
    part = f"{path}.{os.getpid()}"
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)
