"""Makes and checks the corpus, writes docs/reference/formats.md: python -m tests.media.corpus [PATTERN]."""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.media.corpus import films, pictures, sounds, untold_lengths
from tests.media.corpus.check import check
from tests.media.corpus.page import write_page
from tests.media.corpus.recipe import Recipe, Row


def all_recipes() -> list[Recipe]:
    """Of all kinds, each title once."""
    every = itertools.chain(sounds.recipes(), untold_lengths.recipes(), films.recipes(), pictures.recipes())
    return list({recipe.title: recipe for recipe in every}.values())


def check_all(recipes: Iterable[Recipe]) -> list[Row]:
    """Side by side, each in a folder of its own."""

    def one(recipe: Recipe) -> Row:
        with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
            try:
                row = check(recipe, Path(folder))
            except Exception as error:  # a defect: told with the rest
                row = Row(recipe, "wrong", f"{type(error).__name__}: {error}")
        if row.status == "wrong":
            print(f"{recipe.title}: {row.detail}", flush=True)
        return row

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, recipes))


def main(pattern: str = "") -> int:
    """The number of wrong files as an exit code of 0 or 1."""
    rows = check_all(recipe for recipe in all_recipes() if pattern in recipe.title)
    counts = {status: sum(row.status == status for row in rows) for status in
              ("exact", "nearly", "refused", "wrong", "skipped")}  # fmt: skip
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if not pattern:
        write_page(rows)
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
