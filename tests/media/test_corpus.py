"""A part of the corpus: a file of each group, other ones when the list changes. `make torture` runs all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.media.corpus.__main__ import all_recipes
from tests.media.corpus.check import check
from tests.media.corpus.page import page
from tests.media.corpus.recipe import Recipe, Row

LEAST = 400


def chosen() -> list[Recipe]:
    """One of each group, the same in each process that runs tests."""
    groups: dict[str, list[Recipe]] = {}
    for recipe in all_recipes():
        if not any(
            slow in recipe.name for slow in ("av1", "256x128", "dvvideo")
        ):  # which take seconds to make
            groups.setdefault(f"{recipe.kind}/{recipe.group}", []).append(recipe)
    draw = random.Random(16)
    return [recipe for name in sorted(groups) for recipe in draw.sample(groups[name], 1)]


def test_the_corpus_is_large() -> None:
    assert len(all_recipes()) > LEAST


@pytest.mark.slow
@pytest.mark.parametrize("recipe", chosen(), ids=lambda recipe: recipe.title)
def test_a_file_of_the_corpus(recipe: Recipe, tmp_path: Path) -> None:
    row = check(recipe, tmp_path)
    if row.status == "skipped":
        pytest.skip(row.detail)
    assert row.status in ("exact", "nearly", "refused"), row.detail


def test_a_changed_value_is_found(tmp_path: Path) -> None:
    """The check itself: an oracle that differs in one value makes the file wrong."""
    from dataclasses import replace

    recipe = next(recipe for recipe in all_recipes() if recipe.title == "image/PNG of Pillow/RGB_0.png")

    def other(path: Path) -> object:
        data = recipe.oracle(path).copy()
        data[3, 4, 1] += 1
        return data

    assert check(recipe, tmp_path).status == "exact"
    assert check(replace(recipe, oracle=other), tmp_path).status == "wrong"  # type: ignore[arg-type]


def test_the_page_counts_rows() -> None:
    recipe = next(iter(all_recipes()))
    text = page([Row(recipe, "exact"), Row(recipe, "nearly", "why"), Row(recipe, "skipped")])
    assert f"| {recipe.group} | 1 | 1 |  | why |" in text
