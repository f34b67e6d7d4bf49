"""Films cut short whose container says so: told before anything is decoded; whole ones pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from ffmpeg_oracle import make

from mediaconv.errors import ReadError
from mediaconv.media.input_file import read_head
from mediaconv.media.integrity.completeness import check_complete

PICTURE, SOUND = "testsrc2=s=64x48:r=25:d=2", "sine=d=2"
FILMS = {
    "a.flv": (PICTURE, "-c:v", "flv"),
    "a.mxf": (PICTURE, "-c:v", "mpeg2video"),
    "a.wmv": (PICTURE, "-c:v", "wmv2"),
    "a.wma": (SOUND, "-c:a", "wmav2"),
    **{
        f"{kind}.y4m": (PICTURE, "-pix_fmt", kind, "-strict", "-1")
        for kind in (
            "yuv420p",
            "yuv422p",
            "yuv444p",
            "yuv411p",
            "gray",
            "yuv420p10le",
            "yuv444p12le",
            "gray10le",
        )
    },
    "odd.y4m": ("testsrc2=s=51x35:r=5:d=1", "-pix_fmt", "yuv420p"),
}


@pytest.mark.parametrize("name", FILMS)
def test_cut_films_are_told_and_whole_ones_pass(name: str, tmp_path: Path) -> None:
    source, *options = FILMS[name]
    path = make(tmp_path / name, source, *options)
    check_complete(path, read_head(path))
    data = path.read_bytes()
    for share in (0.35, 0.7, 0.995):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ReadError, match=f"cut off.*it has {int(share * len(data))}"):
            check_complete(path, read_head(path))
