"""Composes the training scenes ahead of training, by processes, into files that are mapped: SIZE-NUMBER.npy holds the
pictures, SIZE-NUMBER.jsonl a line for each. A file that is there is not made again."""

import json
import multiprocessing
import os
import time

import numpy as np

import compose
from glyphs import Glyphs
from settings import path_in

worker = {}


def start_worker(font):
    worker["glyphs"] = Glyphs(font)
    worker["domain"] = compose.Domain()


def compose_shard(task):
    path, seed, width, height, number, region_share = task
    rng = np.random.default_rng(seed)
    pictures = np.lib.format.open_memmap(path + ".part", "w+", np.uint8, (number, height, width, 3))
    with open(path[:-4] + ".jsonl", "w", encoding="utf-8") as lines:
        for picture in pictures:
            scene, picture[:] = compose.scene(rng, worker["domain"], worker["glyphs"], width, height, region_share)
            lines.write(json.dumps(scene) + "\n")
    pictures.flush()
    os.rename(path + ".part", path)
    return number


def shards(settings):
    """Of each file: its path and what it takes to compose it. The seed depends on the file alone."""
    for width, height, number in settings.scenes.sizes:
        for index in range(0, number // settings.scenes.shard):
            path = path_in(settings, "scenes", f"{width}x{height}-{index:04}.npy")
            seed = [settings.run.seed, width, height, index]
            yield path, seed, width, height, settings.scenes.shard, settings.scenes.region_share


def run(settings):
    tasks = [task for task in shards(settings) if not os.path.exists(task[0])]
    began, done, total = time.time(), 0, sum(task[4] for task in tasks)
    with multiprocessing.Pool(settings.run.processes, start_worker, (settings.run.font,)) as pool:
        for number in pool.imap_unordered(compose_shard, tasks):
            done += number
            print(f"{done} of {total} scenes, {done / (time.time() - began):.0f} a second", flush=True)


def read_lines(path):
    with open(path[:-4] + ".jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
