"""Interlaced frames, whose two fields are of different times, to frames of one time, by FFmpeg's filters."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

import av
from av.filter import Graph

Filter = Literal["bwdif", "yadif"]
Timed = tuple[Fraction | None, av.VideoFrame]


PARITY = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}
"""Which field is shown first, by the order that a container states (FFmpeg's AVFieldOrder)."""


def deinterlaced(frames: Iterator[Timed], filter: Filter, *, order: int = 0) -> Iterator[Timed]:
    """As many frames as come, each at its own time: the field that comes first, the other lines interpolated.

    order: of the fields as the container states it, for frames that do not; 0: not stated.

    Raises av.error.FFmpegError.
    """
    graph: Any = None
    shape: Any = None
    times: deque[Fraction | None] = deque()
    for time, frame in frames:
        if shape != (frame.width, frame.height, frame.format.name):
            if graph is not None:
                yield from _drained(graph, times)
            shape = (frame.width, frame.height, frame.format.name)
            parity = "auto" if frame.interlaced_frame else PARITY.get(order, "auto")
            graph = _graph(frame, filter, parity)
        times.append(time)
        graph.push(frame)
        yield from _pulled(graph, times)
    if graph is not None:
        yield from _drained(graph, times)


def _graph(frame: Any, filter: Filter, parity: str) -> Any:
    graph = Graph()
    arguments = {
        "video_size": f"{frame.width}x{frame.height}",
        "pix_fmt": frame.format.name,
        "time_base": str(Fraction(frame.time_base)),
        "pixel_aspect": "1/1",
        "colorspace": str(int(frame.colorspace)),
        "range": str(int(frame.color_range)),
    }
    graph.link_nodes(
        graph.add("buffer", ":".join(f"{key}={value}" for key, value in arguments.items())),
        graph.add(filter, f"mode=send_frame:parity={parity}:deint=all"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _pulled(graph: Any, times: deque[Fraction | None]) -> Iterator[Timed]:
    while times:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield times.popleft(), frame


def _drained(graph: Any, times: deque[Fraction | None]) -> Iterator[Timed]:
    graph.push(None)
    yield from _pulled(graph, times)
