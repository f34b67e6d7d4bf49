"""Which part of a file is looked at, and what around it must be read so that the values are the whole file's.

Every layer's outputs inside the part depend on inputs before and after it. These are read too, and cut off
again after every layer, unless that would take too much memory: then a note says so. Reads no files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from torch import nn

import mediaconv.nn as mnn
from mediaconv.counted import counted
from mediaconv.draw.inspect.follow import Visitor, follow
from mediaconv.draw.inspect.model_operations import left_out_note, operations_inside
from mediaconv.errors import UsageError
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import Streamable, axis_map, output_channels

MAX_VALUES = 2**27
"""Values of the largest layer's output, all files together: 512 MiB of float32."""


@dataclass(frozen=True)
class Port:
    """What is known at one place of a stack before anything is computed.

    stride: input steps a step here, along axis 0. back, ahead: input steps before and after its own time that
    a value here depends on. input_period: a first input that is a multiple of it makes steps here fall on
    whole steps.
    """

    channels: int
    lengths: tuple[int, ...]
    stride: Fraction = Fraction(1)
    back: float = 0.0
    ahead: float = 0.0
    input_period: int = 1

    @property
    def values(self) -> int:
        """Number of values."""
        return self.channels * math.prod(self.lengths)


class Survey(Visitor[Port]):
    """The ports along the way, by the name of the layer or block that gives them."""

    def __init__(self, stack: nn.Module, channels: int, lengths: Sequence[int]) -> None:
        self.source = Port(channels, tuple(lengths))
        self.ports: dict[str, Port] = {}
        self.notes: list[str] = []
        """What of a model inside is not on the page."""
        try:
            self.end = follow(stack, self.source, self)
        except (ValueError, RuntimeError) as error:
            raise UsageError(f"stack: this input does not fit it: {error}") from error

    @property
    def largest(self) -> int:
        """Values of the largest output along the way."""
        return max(port.values for port in [self.source, *self.ports.values()])

    @property
    def all(self) -> list[Port]:
        """Every port, the input's first."""
        return [self.source, *self.ports.values()]

    def layer(self, name: str, module: nn.Module, x: Port) -> Port:
        shape = (1, x.channels, *x.lengths)
        if isinstance(module, Streamable):
            _, channels, *lengths = module.output_shape(shape)
        else:
            channels, lengths = output_channels(module, x.channels), list(x.lengths)
        if (note := left_out_note(name, module, shape[1:])) is not None:
            self.notes.append(note)
        for inside in operations_inside(module, shape[1:]):
            self._kept(f"{name}.{inside.name}", _behind(x, inside.shape[0], inside.shape[1:], inside.along))
        return self._kept(name, _behind(x, channels, lengths, axis_map(module, 0)))

    def merge(self, name: str, module: mnn.Branches, x: Port, parts: list[Port]) -> Port:
        channels = sum(p.channels for p in parts) if module.merge == "concat" else parts[0].channels
        return self._kept(
            name,
            replace(
                parts[0],
                channels=channels,
                back=max(p.back for p in parts),
                ahead=max(p.ahead for p in parts),
                input_period=math.lcm(*(p.input_period for p in parts)),
            ),
        )

    def _kept(self, name: str, port: Port) -> Port:
        self.ports[name] = port
        return port


def _behind(x: Port, channels: int, lengths: Sequence[int], along: AxisMap) -> Port:
    """The port of what reads another one as a map of axis 0 says."""
    stride = x.stride * along.total_stride
    step = float(x.stride)
    return Port(
        channels,
        tuple(lengths),
        stride,
        x.back + step * (along.lookback + (along.period > 1)),
        x.ahead + step * (along.latency + (along.period > 1)),
        math.lcm(x.input_period, stride.numerator),
    )


@dataclass(frozen=True)
class Part:
    """Which steps of a file are read and which of them are looked at, along axis 0; and what of a picture.

    first, last: read. start, stop: looked at; None: all. crop: most steps of the last axes, from their
    middle.
    exact: whether enough is read around the part. notes: what was left out.
    """

    first: int
    last: int | None
    start: int
    stop: int | None
    crop: tuple[int | None, ...]
    exact: bool
    notes: tuple[str, ...] = ()


def choose_part(
    stack: nn.Module,
    channels: int,
    lengths: Sequence[int | None],
    *,
    start: int,
    steps: int | None,
    files: int = 1,
    unit: str = "frames",
) -> Part:
    """The part of an input that is looked at: `steps` from `start` on, fewer where memory would not do.

    lengths: of the input's axes, the first None where only the end tells. steps: None looks at all.
    """
    across = [n for n in lengths[1:] if n is not None]
    room = MAX_VALUES // files
    if steps is None:
        return _of_image(stack, channels, [n or 1 for n in lengths], room)
    known = Survey(stack, channels, [max(steps, 1), *across]).all
    back, ahead = max(p.back for p in known), max(p.ahead for p in known)
    slow = max(p.stride for p in known)
    input_period = math.lcm(*(p.input_period for p in known))
    notes = []
    exact = math.isfinite(back + ahead)
    if not exact:
        notes.append("a layer depends on the whole input: values are those of the part that was read alone")
        back = ahead = 0.0
    before, after = math.ceil(back + slow), math.ceil(ahead + slow)

    def needed(count: int, context: bool = True) -> int:
        around = min(before, start) + after if context else 0
        return Survey(stack, channels, [count + around, *across]).largest

    wanted = steps
    while steps > 1 and needed(steps) > room and needed(steps, context=False) > room // 2:
        steps = max(1, steps // 2)
    if exact and needed(steps) > room:
        exact, before, after = False, 0, 0
        notes.append(f"too little memory for the {unit} around the part: it was computed by itself")
    if steps < wanted:
        notes.append(
            f"{steps} instead of {counted(wanted, unit)}: more of this size would need too much memory"
        )
    crop: tuple[int | None, ...] = tuple(across)
    if needed(steps) > room:
        crop, shrunk = _cropped(stack, channels, steps + min(before, start) + after, across, room)
        notes += shrunk
    first = max(0, start - before) if exact else start
    first -= first % input_period
    return Part(first, start + steps + after, start, start + steps, crop, exact, tuple(notes))


def _of_image(stack: nn.Module, channels: int, lengths: Sequence[int], room: int) -> Part:
    crop: tuple[int | None, ...] = (None,) * len(lengths)
    notes: list[str] = []
    if Survey(stack, channels, lengths).largest > room:
        crop, notes = _cropped(stack, channels, None, lengths, room)
    return Part(0, None, 0, None, crop, not notes, tuple(notes))


def _cropped(
    stack: nn.Module, channels: int, steps: int | None, across: Sequence[int], room: int
) -> tuple[tuple[int, ...], list[str]]:
    """Sizes of the middle of a picture that fit into memory, and the note that says so."""
    sizes = list(across)
    head = [] if steps is None else [steps]
    while max(sizes, default=0) > 16 and Survey(stack, channels, [*head, *sizes]).largest > room:
        sizes = [max(16, int(n * 0.8)) if n > 16 else n for n in sizes]
    largest = Survey(stack, channels, [*head, *sizes]).largest
    if largest > room:
        raise UsageError(
            f"stack: a layer gives {largest:,} values for the smallest part that can be looked at "
            f"({counted(math.prod([*head, *sizes]), 'position')} a channel), "
            f"at most {room:,} fit into memory; upsample by less, or give fewer channels"
        )
    words = " x ".join(map(str, sizes)), " x ".join(map(str, across))
    return tuple(sizes), [f"the middle {words[0]} of {words[1]} pixels: all of it would need too much memory"]
