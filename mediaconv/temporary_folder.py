"""A folder of temporary files that no end of the program leaves behind, but a kill."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediaconv.interrupt import ends_promptly


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder, removed after the block: at its end, after an error, and after each of interrupt.SIGNALS.

    >>> with temporary_folder() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    made: list[Path] = []

    def remove() -> None:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)

    try:
        with ends_promptly(remove):
            made.append(Path(tempfile.mkdtemp(prefix="mediaconv-")))
            yield made[0]
    finally:
        remove()
