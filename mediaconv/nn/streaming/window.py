"""The one mechanism behind streaming: a buffer of inputs, every window that is whole, the tail kept.

A buffer starts with the left padding, takes chunks, gives whole windows to the layer's own function, and
at the end the right padding is pushed through. Which function that is, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mediaconv.nn.backends.appended_film import appended
from mediaconv.nn.backends.large_pages import LARGE_BYTES, SHORT_BYTES
from mediaconv.nn.backends.memory_layout import join, memory_format
from mediaconv.nn.composed_maps import Whole
from mediaconv.nn.geometry import AxisMap, Window
from mediaconv.nn.streaming.protocol import Streamable
from mediaconv.nn.streaming.state import State


class Span(NamedTuple):
    """Where along the stream axis some windows lie.

    axis: the stream axis. first: index of the first window. length: inputs in all, None while not known.
    before: inputs that come before `x` and are not joined with it, for a layer that `takes_before`.
    """

    axis: int
    first: int
    length: int | None
    before: Tensor | None = None


class Windowed(Streamable):
    """Mixin of a layer that slides one window along each axis; it tells `apply_windows`, all else is here."""

    windows: tuple[Window, ...]
    padding_mode: Any = "zeros"
    fill: float = 0.0

    def takes_before(self, axis: int) -> bool:
        """Whether `apply_windows` joins a long chunk itself with what comes before it along an axis."""
        return False

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        """Outputs of all whole windows of `x`.

        Pads every axis, except the stream axis of a `span`: there `x` holds whole windows already.
        """
        raise NotImplementedError

    def outputs_of(self, span: Span, count: int) -> int:
        """Outputs of `count` windows of a span: one each, unless the layer says otherwise."""
        return count

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to (N, C', ...')."""
        self.check_axes(x)
        return self.empty_output(x) if vanishes(self.windows, x) else self.apply_windows(x, None)

    def needs_whole(self, axis: int) -> bool:
        """Whether outputs read the whole input along an axis: a stream along it answers at the end."""
        return False

    def axis_map(self, axis: int) -> AxisMap:
        return Whole(self.windows[axis]) if self.needs_whole(axis) else self.windows[axis]

    def init_state(self, axis: int) -> State:
        return window_state()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        if self.needs_whole(axis):
            y = step_whole(x, state, self.forward, axis=axis, last=last)
            return self.empty_output(x, axis) if y is None else y
        windows, window, counts = self.windows, self.windows[axis], state.counts

        def apply(held: Tensor, before: Tensor | None = None) -> Tensor:
            span = Span(axis, counts["emitted"], counts["received"] if last else None, before)
            if len(windows) > 1 and vanishes(windows, held, axis):
                length = held.shape[axis + 2] + (0 if before is None else before.shape[axis + 2])
                count = (length - window.extent) // window.stride + 1
                return self.empty_output(held, axis, self.outputs_of(span, count))
            return self.apply_windows(held, span)

        mode, fill = self.padding_mode, self.fill
        if not last and self.takes_before(axis) and mode == "zeros" and x.nbytes >= LARGE_BYTES:
            y = step_long(x, state, window, apply, axis=axis, padding_value=fill)
            return self.empty_output(x, axis) if y is None else y
        y = step_window(x, state, window, apply, axis=axis, last=last, padding_mode=mode, padding_value=fill)
        return self.empty_output(x, axis) if y is None else y


def step_window(
    x: Tensor,
    state: State,
    window: Window,
    apply: Callable[[Tensor], Tensor],
    *,
    axis: int,
    last: bool,
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
) -> Tensor | None:
    """Windows along the stream axis that a chunk completes, through `apply`; None where there are none.

    The buffer holds what windows to come still read; `start` is the index in it where the next window
    begins (past its end where the stride is larger than the kernel). `apply` gets exactly the inputs of
    whole windows, must not pad along this axis and gives no view of them: a short buffer is kept as it is.
    """
    dim, stride, extent = axis + 2, window.stride, window.extent
    counts = state.counts
    counts["received"] += x.shape[dim]
    held = state.tensors.get("buffer")
    held = x if held is None else join((held, x), dim)
    if not counts["started"]:
        if not last and counts["received"] < _inputs_to_start(window, padding_mode):
            state.tensors["buffer"] = held.clone() if held is x else held
            return None
        if last:
            _check_padding(window, counts["received"], padding_mode)
        held = _pad_start(held, window, dim, padding_mode, padding_value)
        counts["start"] = max(0, -window.left)
        counts["started"] = 1
    start, length = counts["start"], held.shape[dim]
    if last:
        count = window.output_length(counts["received"]) - counts["emitted"]
        missing = start + (count - 1) * stride + extent - length
        if count > 0 and missing > 0:
            held = _pad_end(held, missing, window, counts["received"], dim, padding_mode, padding_value)
            length = held.shape[dim]
    else:
        room = length + min(0, window.right) - start - extent
        count = room // stride + 1 if room >= 0 else 0
    y = None
    if count > 0:
        read = (count - 1) * stride + extent
        y = apply(held if read == length else held.narrow(dim, start, read))
        start += count * stride
        counts["emitted"] += count
    cut = min(start, length)
    if padding_mode != "zeros":
        cut = max(0, min(cut, length - _inputs_to_end(window, padding_mode)))
    tail = held.narrow(dim, cut, length - cut)
    state.tensors["buffer"] = tail if held is not x and held.nbytes < SHORT_BYTES else tail.clone()
    counts["start"] = start - cut
    return y


def step_long(
    x: Tensor,
    state: State,
    window: Window,
    apply: Callable[[Tensor, Tensor | None], Tensor],
    *,
    axis: int,
    padding_value: float = 0.0,
) -> Tensor | None:
    """`step_window` for a long chunk in mid-stream that is padded by a constant.

    apply(x, before): takes a chunk and what comes before it apart. To join them is to copy the chunk, which
    takes as long as a convolution of few channels. Frames that come one by one are appended, where they can.
    """
    dim, stride, extent = axis + 2, window.stride, window.extent
    counts = state.counts
    before = state.tensors.get("buffer")
    before = x.narrow(dim, 0, 0) if before is None else before
    if not counts["started"]:
        before = _pad_start(before, window, dim, "zeros", padding_value)
        counts["start"], counts["started"] = max(0, -window.left), 1
    counts["received"] += x.shape[dim]
    joined = appended(before, x, extent) if dim == 2 and before.shape[dim] else None
    if joined is not None:
        before, x = joined, x.narrow(dim, 0, 0)
    start, held = counts["start"], before.shape[dim]
    room = held + x.shape[dim] + min(0, window.right) - start - extent
    count = room // stride + 1 if room >= 0 else 0
    y = None
    if count > 0:
        end = start + (count - 1) * stride + extent
        earlier, later = _part(before, x, dim, start, end)
        y = apply(later, earlier) if later.shape[dim] else apply(earlier, None)
        counts["emitted"] += count
        start += count * stride
    cut = min(start, held + x.shape[dim])
    earlier, later = _part(before, x, dim, cut, held + x.shape[dim])
    state.tensors["buffer"] = earlier if joined is not None else join((earlier, later), dim, x)
    counts["start"] = start - cut
    return y


def _part(before: Tensor, x: Tensor, dim: int, start: int, end: int) -> tuple[Tensor, Tensor]:
    """What lies from `start` to `end` of two tensors as if they were joined: of each its part."""
    held = before.shape[dim]
    first, last = min(start, held), min(end, held)
    start, end = max(0, start - held), max(0, end - held)
    return before.narrow(dim, first, last - first), x.narrow(dim, start, end - start)


def window_state() -> State:
    """The fresh state of `step_window`."""
    return State(received=0, emitted=0, start=0, started=0)


def _inputs_to_start(window: Window, padding_mode: str) -> int:
    """Inputs needed before the left padding is known; one at least, since of nothing nothing comes."""
    return max(1, window.left + 1) if padding_mode == "reflect" else 1


def _inputs_to_end(window: Window, padding_mode: str) -> int:
    """Last inputs that the right padding is made of, kept though no window reads them any more."""
    if window.right <= 0:
        return 0
    return window.right + 1 if padding_mode == "reflect" else 1


def _check_padding(window: Window, received: int, padding_mode: str) -> None:
    if padding_mode == "reflect" and received and max(window.left, window.right) >= received:
        raise ValueError(
            f"padding_mode reflect: {max(window.left, window.right)} steps of padding need a longer input "
            f"than {received}; use replicate or zeros"
        )


def _constant(like: Tensor, size: int, dim: int, value: float) -> Tensor:
    shape = list(like.shape)
    shape[dim] = size
    return like.new_full(shape, value).contiguous(memory_format=memory_format(like))


def _pad_start(held: Tensor, window: Window, dim: int, mode: str, value: float) -> Tensor:
    if window.left <= 0 or (mode != "zeros" and held.shape[dim] == 0):
        return held
    if mode == "zeros":
        return join((_constant(held, window.left, dim, value), held), dim)
    if mode == "replicate":
        return join((held.narrow(dim, 0, 1).expand(_with(held, dim, window.left)), held), dim)
    return join((held.narrow(dim, 1, window.left).flip(dim), held), dim)


def _pad_end(
    held: Tensor, missing: int, window: Window, received: int, dim: int, mode: str, value: float
) -> Tensor:
    if mode == "zeros":
        return join((held, _constant(held, missing, dim, value)), dim)
    end = held.shape[dim]
    if mode == "replicate":
        return join((held, held.narrow(dim, end - 1, 1).expand(_with(held, dim, missing))), dim)
    _check_padding(window, received, mode)
    return join((held, held.narrow(dim, end - 1 - missing, missing).flip(dim)), dim)


def _with(x: Tensor, dim: int, size: int) -> list[int]:
    shape = list(x.shape)
    shape[dim] = size
    return shape


def step_whole(
    x: Tensor, state: State, apply: Callable[[Tensor], Tensor], *, axis: int, last: bool
) -> Tensor | None:
    """Hold every chunk and apply the layer once, at the end: for layers that read the whole input."""
    state.tensors[f"chunk{len(state.tensors)}"] = x.clone()
    if not last:
        return None
    held = torch.cat([chunk for chunk in state.tensors.values() if chunk is not None], axis + 2)
    state.tensors.clear()
    return apply(held) if held.shape[axis + 2] else None


def window_padding(window: Window, length: int) -> tuple[int, int]:
    """Padding left and right for all windows over `length` inputs; negative where inputs are not used."""
    if not window.ceil:
        return window.left, window.right
    reach = (window.output_length(length) - 1) * window.stride + window.extent
    return window.left, reach - length - window.left


def vanishes(windows: Sequence[Window], x: Tensor, skip: int | None = None) -> bool:
    """Whether an input is too short for any output along some axis other than `skip`."""
    for axis, window in enumerate(windows):
        if axis != skip and window.output_length(x.shape[axis + 2]) == 0:
            return True
    return False


def pad(
    x: Tensor, windows: Sequence[Window], mode: str = "zeros", value: float = 0.0, skip: int | None = None
) -> Tensor:
    """Pad (or cut, where padding is negative) every axis after the channels, other than `skip`, so that
    its windows are whole."""
    amounts: list[int] = []
    for axis in reversed(range(len(windows))):
        amounts += (0, 0) if axis == skip else window_padding(windows[axis], x.shape[axis + 2])
    return pad_by(x, amounts, mode, value) if any(amounts) else x


def pad_by(x: Tensor, amounts: Sequence[int], mode: str = "zeros", value: float = 0.0) -> Tensor:
    """Pad by numbers in torch's order (the last axis first), then cut where they are negative.

    torch cuts first, and fails where it would cut more than the input.
    """
    if min(amounts) >= 0:
        return F.pad(x, amounts, value=value) if mode == "zeros" else F.pad(x, amounts, mode=mode)
    x = pad_by(x, [max(0, n) for n in amounts], mode, value)
    return F.pad(x, [min(0, n) for n in amounts])
