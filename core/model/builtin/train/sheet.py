"""A contact sheet: the first pictures of fixed cases, nothing selected, drawn by couplet."""

import os
import tempfile

from PIL import Image

import cases
import evaluate
import layouts

NUMBER, COLUMNS, GAP = 48, 8, 4
KINDS = [kind for kind in layouts.REGION_KINDS if kind not in cases.SIZES]


def sheet_cases(domain):
    """The kinds by turns, seeds from cases.PICTURE_SEED on."""
    each = {kind: cases.make(kind, NUMBER, domain) for kind in KINDS}
    return [each[KINDS[i % len(KINDS)]][i] for i in range(NUMBER)]


def paste_all(drawn):
    side, rows = drawn[0].shape[0], -(-len(drawn) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (side + GAP) + GAP, rows * (side + GAP) + GAP), (40, 40, 40))
    for i, picture in enumerate(drawn):
        place = (GAP + i % COLUMNS * (side + GAP), GAP + i // COLUMNS * (side + GAP))
        sheet.paste(Image.fromarray(picture), place)
    return sheet


def run(settings, model_path, path, judge=None):
    """Writes a PNG of few colours, so that it stays small; with a judge, says how many pictures are all right."""
    asked = sheet_cases(cases.domain_of(os.path.join(os.path.dirname(model_path), "vocabulary.json")))
    engine = evaluate.Engine(settings, model_path)
    with tempfile.TemporaryDirectory() as folder:
        drawn = [engine.render(case.layout(), folder) for case in asked]
    paste_all(drawn).quantize(192).save(path, optimize=True)
    print(f"{path}: {len(drawn)} pictures, {os.path.getsize(path)} bytes")
    if judge:
        passed = evaluate.judge_pictures(judge, asked, drawn)[1]
        wrong = [case.seed for case, right in zip(asked, passed) if not right]
        print(f"all right: {sum(passed)} of {len(passed)}; not right: seeds {wrong}")
