"""Pipelines that exist for these tests alone: one per number of axes, with every kind of option."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, model_validator

from mediaconv import pipeline as pipelines
from mediaconv.errors import UsageError
from mediaconv.pipeline import Options, Pipeline


class Read(Options):
    fps: Fraction | None = Field(None, gt=0)
    size: int | tuple[int, int] | None = None
    channels: Literal["mono", "keep"] = "keep"
    start_seconds: float = Field(0.0, ge=0)


class Write(Options):
    crf: int | None = Field(None, ge=0, le=63)
    lossless: bool = False
    bit_depth: Literal[8, 16, "float"] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Write:
        if self.lossless and self.crf:
            raise ValueError("crf: got 5, lossless has none; leave one of them out")
        return self


class _Fake(Pipeline):
    extensions = frozenset({".fake"})
    signal_range = (0.0, 1.0)
    read_options = Read
    write_options = Write

    def open(self, path: Path, options: Any, limits: Any) -> Any:
        raise NotImplementedError

    def create(self, folder: Path, source: Any, output: Any, options: Any) -> Any:
        raise NotImplementedError


class Audio(_Fake):
    name = "audio"
    axes = ("time",)


class Image(_Fake):
    name = "image"
    axes = ("height", "width")
    causal_mode = "raster"


class Video(_Fake):
    name = "video"
    axes = ("time", "height", "width")


KINDS = {kind.name: kind for kind in (Audio, Image, Video)}


def _find(name: str) -> Pipeline:
    if name == "broken":
        raise ImportError("no module named 'scanner'")
    if name not in KINDS:
        raise UsageError(f"pipeline: got {name!r}")
    return KINDS[name]()


@pytest.fixture(autouse=True, scope="module")
def _fake_pipelines() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines, "find", _find)
        patch.setattr(pipelines, "names", lambda: sorted(KINDS))
        yield
