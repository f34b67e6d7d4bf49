"""Still images in name order as one clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mediaconv.errors import ReadError
from mediaconv.media.video.sequence import SequenceReader


def stills(folder: Path, count: int, size: tuple[int, int] = (6, 4)) -> list[Path]:
    paths = []
    for k in range(count):
        path = folder / f"shot{k + 1}.png"
        PIL.Image.fromarray(np.full((size[1], size[0], 3), k, np.uint8)).save(path)
        paths.append(path)
    return paths


def test_natural_name_order_and_times(tmp_path: Path) -> None:
    paths = stills(tmp_path, 12)
    with SequenceReader(sorted(paths, key=str), fps=Fraction(24)) as reader:
        chunks = [(part.data, part.times) for part in reader.chunks(5)]
    frames = np.concatenate([f for f, _ in chunks])
    assert [len(f) for f, _ in chunks] == [5, 5, 2]
    assert frames[:, 0, 0, 0].tolist() == list(range(12))
    assert [t for _, times in chunks for t in times] == [Fraction(k, 24) for k in range(12)]
    info = reader.info
    assert (info.width, info.height, info.channels, info.frames) == (6, 4, 3, 12)
    assert (info.rate, info.duration_seconds, info.time_base) == (24, Fraction(1, 2), Fraction(1, 24))


def test_window_size_and_color(tmp_path: Path) -> None:
    reader = SequenceReader(
        stills(tmp_path, 10), fps=10, size=(3, 2), color="gray", start_seconds=0.2, duration_seconds=0.3
    )
    (part,) = reader.chunks(100)
    frames, times = part.data, part.times
    assert frames.shape == (3, 2, 3, 1)
    assert frames[:, 0, 0, 0].tolist() == [2, 3, 4]
    assert times == [0, Fraction(1, 10), Fraction(1, 5)]


def test_other_sizes_need_size_and_errors_name_the_file(tmp_path: Path) -> None:
    paths = stills(tmp_path, 3)
    PIL.Image.new("RGB", (9, 9)).save(paths[1])
    with pytest.raises(ReadError, match=r"shot2.png: 9x9 pixels, expected 6x4 as shot1.png; set `size`"):
        list(SequenceReader(paths).chunks(10))
    assert next(SequenceReader(paths, size=(6, 4)).chunks(10)).data.shape == (3, 4, 6, 3)
    paths[2].write_text("no image")
    with pytest.raises(ReadError, match=r"shot3.png: no image"):
        list(SequenceReader(paths, size=(6, 4)).chunks(10))
    with pytest.raises(ReadError, match="no images"):
        SequenceReader([])
