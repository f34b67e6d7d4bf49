"""Makes one file of the corpus, reads it as a run does and compares it with the oracle, whole and in part."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np

from mediaconv.errors import ReadError
from mediaconv.media.limits import Limits
from mediaconv.pipeline import find
from tests.media.corpus.recipe import NotMadeError, Recipe, Row


def check(recipe: Recipe, folder: Path) -> Row:
    """What becomes of a recipe in an empty folder; nothing is left there."""
    if missing := recipe.missing():
        return Row(recipe, "skipped", f"{', '.join(missing)} is not installed")
    path = folder / recipe.name
    try:
        recipe.make(path)
        return _compared(recipe, path)
    except NotMadeError as error:
        return Row(recipe, "skipped", f"not made here: {error}")
    finally:
        path.unlink(missing_ok=True)


def _compared(recipe: Recipe, path: Path) -> Row:
    try:
        got, times = load(recipe, path)
    except ReadError as error:
        if recipe.refused and recipe.refused in str(error):
            return Row(recipe, "refused", recipe.refused)
        expected = _oracle_or_none(recipe, path)
        if expected is None or not len(expected):
            return Row(recipe, "skipped", "the oracle does not read it either")
        return Row(recipe, "wrong", f"refused: {str(error).removeprefix(f'{path}: ')}")
    if recipe.refused:
        return Row(recipe, "wrong", "is read, and should be refused")
    expected = recipe.oracle(path)
    longer = abs(len(got) - len(expected))
    if longer > recipe.slack or got.shape[1:] != expected.shape[1:]:
        return Row(recipe, "wrong", f"shape {got.shape}, the oracle has {expected.shape}")
    count = min(len(got), len(expected))
    largest = float(np.abs(got[:count] - expected[:count]).max())
    if largest > recipe.tolerance:
        return Row(recipe, "wrong", f"differs by {largest:g}, allowed is {recipe.tolerance:g}")
    if problem := _window_problem(recipe, path, got, times, _rate(recipe, path)):
        return Row(recipe, "wrong", problem)
    return Row(recipe, "nearly" if largest else "exact", recipe.reason if largest else "")


def _oracle_or_none(recipe: Recipe, path: Path) -> np.ndarray | None:
    try:
        return recipe.oracle(path)
    except Exception:  # a file that it does not understand either
        return None


def load(recipe: Recipe, path: Path, **window: float) -> tuple[np.ndarray, list[Fraction]]:
    """Values as the oracle counts them, and the times of film."""
    pipeline = find(recipe.kind)
    options = dict(window)
    if recipe.kind == "video":
        options["color"] = "rgb" if "in RGB" in recipe.group else "gray"  # type: ignore[assignment]
    with pipeline.open(path, pipeline.read_options(**options), Limits()) as source:
        parts = list(source.chunks(4096 if recipe.kind == "audio" else 16))
    data = np.concatenate([part.data for part in parts]).astype(float)
    times = [time for part in parts for time in part.times or []]
    return (data[..., 0] if data.ndim == 4 and data.shape[3] == 1 else data), times


def _rate(recipe: Recipe, path: Path) -> Fraction:
    pipeline = find(recipe.kind)
    with pipeline.open(path, pipeline.read_options(), Limits()) as source:
        return source.info.rate or Fraction(1)


def _window_problem(
    recipe: Recipe, path: Path, whole: np.ndarray, times: list[Fraction], rate: Fraction
) -> str:
    """A window is the slice of the full read; empty where it is, or for images."""
    if recipe.kind == "image" or len(whole) < 4:
        return ""
    draw = random.Random(recipe.title)
    if recipe.kind == "audio":
        start, length = draw.choice([0.013, 0.1, 0.2503]), draw.choice([0.05, 9.0])
        part, _ = load(recipe, path, start_seconds=start, duration_seconds=length)
        first, count = round(Fraction(start) * rate), max(1, round(Fraction(length) * rate))
        same = np.array_equal(part, whole[first : first + count])
        return "" if same else f"a window from {start} s is not the slice"
    start = float(draw.choice(times[1:]))
    length = draw.choice([0.1, 0.2, 5.0])
    begin = Fraction(start).limit_denominator(10**9)
    chosen = [k for k, time in enumerate(times) if begin <= time < begin + Fraction(str(length))]
    part, shown = load(recipe, path, start_seconds=start, duration_seconds=length)
    if shown != [times[k] - begin for k in chosen]:
        return f"a window from {start} s has other times than the slice"
    return "" if np.array_equal(part, whole[chosen]) else f"a window from {start} s is not the slice"
