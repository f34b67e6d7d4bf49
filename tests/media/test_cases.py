"""The small files of common kinds of faults, each with the value that independent decoders give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mediaconv.media.video.reader import VideoReader

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs the files of ../shared/cases")


def film(name: str, **options: object) -> np.ndarray:
    with VideoReader(CASES / name, **options) as reader:
        return np.concatenate([part.data for part in reader.chunks(64)])


@pytest.mark.parametrize("name", ["film_dts_seek.ts", "film_fragments.mp4", "film_bframes.avi"])
def test_a_film_from_a_second_on(name: str) -> None:
    part = film(name, color="gray", start_seconds=1.5, duration_seconds=1)
    assert len(part) == 25
    skipped = 37 if name.endswith(("avi", "mp4")) else 38
    numbers = (part.mean(axis=(1, 2, 3)) * 219 / 255 / 2).round().astype(int)
    first = numbers[0]
    assert abs(first - skipped) <= 1
    assert numbers.tolist() == list(range(first, first + 25))


def test_a_palette_of_the_header_survives_a_start() -> None:
    assert film("film_palette.avi", start_seconds=1.5).mean() == pytest.approx(125, abs=1)
