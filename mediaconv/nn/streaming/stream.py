"""Exact execution in chunks: `stream(module)` runs a module over one input, chunk by chunk.

The layers' own steps do the work; a stream owns their state, checks that chunks fit together, and ends the
input. Items of a batch that are reset at different times become groups, each with a state of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from mediaconv.nn.backends.large_pages import SHORT_BYTES
from mediaconv.nn.backends.memory_layout import is_packed
from mediaconv.nn.backends.reused_memory import ReusedMemory
from mediaconv.nn.backends.small_work import FEW_FOR_TORCH
from mediaconv.nn.convert import check_unchanged, for_length, to_streaming, unchecked
from mediaconv.nn.geometry import whole_number
from mediaconv.nn.streaming.items import fresh_group, item_indices, restart_items, step_groups
from mediaconv.nn.streaming.protocol import count_axes, fingerprint, output_channels, step
from mediaconv.nn.streaming.state import State
from mediaconv.nn.summary.dependence import check_eval, geometry, streams


class Stream:
    """A module running over one input, chunk by chunk. Made by `stream`.

    Every `push` returns the outputs that became complete, shape (N, C, ...), possibly none along the
    stream axis; `flush` ends the input and returns the rest. Joined they equal the module on the whole.
    """

    def __init__(
        self,
        module: nn.Module,
        axis: int,
        example: Tensor | None = None,
        length: int | None = None,
        axes: str | None = None,
    ) -> None:
        if axes is not None or not _as_it_is(module):
            module = to_streaming(module, example=example, axis=axis, axes=axes)
        self.module = module if length is None else for_length(module, length)
        _check_length_known(self.module)
        self.map = geometry(self.module, axis)
        self._axes = count_axes(self.module)
        check_eval(self.module)
        self.axis = axis
        weights = (m.weight for m in self.module.modules() if isinstance(m, nn.Conv1d))
        self._products = max((weight.numel() for weight in weights), default=0)
        self._fingerprint = fingerprint(self.module)
        self._memory = ReusedMemory()
        self._held: State | None = self._fresh()

    @property
    def _state(self) -> State:
        if self._held is None:
            raise ValueError(
                "this stream's last step failed inside the module, and its state with it: call reset(), or "
                "set_state() with one that was taken before"
            )
        return self._held

    @property
    def latency(self) -> int | float:
        """Inputs after an output's own time that it waits for; `math.inf` where it waits for the end."""
        return self.map.latency

    @property
    def lookback(self) -> int | float:
        """Inputs before an output's own time that it reads."""
        return self.map.lookback

    @property
    def receptive_field(self) -> int | float:
        """Inputs from the first to the last that one output reads."""
        return self.map.receptive_field

    @property
    def stride(self) -> int | Fraction:
        """Input steps an output step: an int, or a Fraction below or between."""
        return whole_number(self.map.total_stride)

    def output_length(self, length: int) -> int:
        """Outputs in all for an input of `length` steps."""
        return self.map.output_length(length)

    def push(self, x: Tensor) -> Tensor:
        """Take the next chunk, (N, C, ...); any length along the stream axis, 0 too.

        Raises ValueError after `flush`, or for a chunk that does not continue the ones before it. That
        leaves the stream as it was; after an error inside the module only `reset`, `set_state` and
        `load_state_dict` make it go on.
        """
        if self._state.counts["flushed"]:
            raise ValueError("this stream was flushed: its input has ended; call reset() to begin another")
        self._check(x)
        return self._step(x, last=False)

    def flush(self) -> Tensor:
        """End the input and return the outputs that were waiting for more of it."""
        if self._state.counts["flushed"]:
            raise ValueError("this stream was flushed already; call reset() to begin another")
        like = self._state.tensors.get("like")
        if like is None:
            raise ValueError(
                "nothing was pushed: a stream learns its shape from the first chunk (it may be empty)"
            )
        y = self._step(like, last=True)
        self._state.counts["flushed"] = 1
        return y

    def whole(self, x: Tensor) -> Tensor:
        """An input that is one chunk: what `push` and `flush` give together, in one step.

        Raises ValueError where something was pushed already, or as `push` does.
        """
        if self._state.tensors.get("like") is not None or self._state.counts["flushed"]:
            raise ValueError(
                "something was pushed to this stream already: call reset() to begin another input"
            )
        self._check(x)
        y = self._step(x, last=True)
        self._state.counts["flushed"] = 1
        return y

    def reset(self, items: Sequence[int] | Tensor | None = None) -> None:
        """Begin a new input: for the whole batch, or for some items while the others go on in step.

        items: indices, or a mask of booleans, (N,). From output `position / stride` on, an item that is
            reset gives what a fresh stream gives; outputs before that which still waited are those of its
            old input, ended here (zero where the old input ended short of them).
        Raises ValueError for items out of range, or where the inputs received are no multiple of what the
        strides need to begin anew (`geometry(module).input_period`).
        """
        if items is None:
            self._held = self._fresh()
            return
        like = self._state.tensors.get("like")
        if like is None:
            return
        chosen = item_indices(items, like.shape[0])
        position = self._state.counts["received"]
        if self._state.counts["flushed"]:
            raise ValueError("this stream was flushed: its input has ended; reset() begins another for all")
        if position % self.map.input_period:
            raise ValueError(
                f"items can be reset at multiples of {self.map.input_period} inputs (the strides' own grid); "
                f"{position} were received"
            )
        if position and len(chosen):
            restart_items(self.module, self._state, chosen, self.axis, int(position / self.map.total_stride))

    def get_state(self) -> State:
        """A copy of the state, independent of what the stream does next."""
        return self._state.copy()

    def set_state(self, state: State) -> None:
        """Go on from a state taken with `get_state` of a stream over the same kind of module."""
        self.load_state_dict(state.flat())  # refuses the state of another module
        self._held = state.copy()

    def copy(self) -> Stream:
        """An independent stream over the same module, at the same place."""
        duplicate = copy.copy(self)
        duplicate._memory, duplicate._held = ReusedMemory(), self._state.copy()
        return duplicate

    def fresh(self) -> Stream:
        """An independent stream over the same module, as it was when this one was made, at the beginning of
        another input."""
        other = copy.copy(self)
        other._memory, other._held = ReusedMemory(), other._fresh()
        return other

    def detach(self) -> None:
        """Cut the graph behind the state: gradients of what comes do not reach earlier chunks."""
        self._state.detach()

    def state_dict(self) -> dict[str, Tensor]:
        """The state as one flat dictionary of tensors, for torch.save or safetensors."""
        return self._state.flat()

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Go on from a saved state. Raises ValueError where it is not one of this module and axis."""
        groups = int(state_dict.get("groups.count", torch.tensor(1)))
        fresh = self._fresh()
        fresh.children += (fresh_group(self.module, self.axis) for _ in range(groups - 1))
        try:
            used = fresh.fill(state_dict)
        except KeyError as missing:
            raise ValueError(
                f"state_dict: {missing} is missing: it belongs to another module or axis"
            ) from None
        unknown = sorted(set(state_dict) - used)
        if unknown:
            raise ValueError(f"state_dict: {unknown[0]!r} is not known: it belongs to another module or axis")
        if fresh.counts["module"] != self._fingerprint:
            raise ValueError(
                "state_dict: it belongs to another module: layers or their sizes differ from this one's"
            )
        self._held = fresh

    def _fresh(self) -> State:
        group = fresh_group(self.module, self.axis)
        return State([group], received=0, emitted=0, flushed=0, groups=1, module=self._fingerprint)

    def _step(self, x: Tensor, *, last: bool) -> Tensor:
        threads = 1 if last and not x.shape[self.axis + 2] else self._threads_to_leave(x)
        if threads == 1:
            if x.nbytes < SHORT_BYTES or not x.is_cpu or torch.compiler.is_compiling():
                return self._advanced(x, last=last)
            with self._memory:
                return self._advanced(x, last=last)
        torch.set_num_threads(1)
        try:
            return self._advanced(x, last=last)
        finally:
            torch.set_num_threads(threads)

    def _threads_to_leave(self, x: Tensor) -> int:
        """Torch's threads where a chunk of sound is too short to be shared among them, else 1."""
        if not self._products or x.ndim != 3 or not x.is_cpu or torch.compiler.is_compiling():
            return 1
        return torch.get_num_threads() if x.shape[0] * x.shape[2] * self._products <= FEW_FOR_TORCH else 1

    def _advanced(self, x: Tensor, *, last: bool) -> Tensor:
        state, dim = self._state, self.axis + 2
        self._held = None  # until all is done: a layer that raises is a chunk apart from the others
        if state.tensors.get("like") is None:
            state.tensors["like"] = x.detach().narrow(dim, 0, 0).clone()
        state.counts["received"] += x.shape[dim]
        first = state.children[0]
        if "items" in first.tensors:
            total = self.map.output_length(state.counts["received"]) if last else None
            y = step_groups(self.module, state, x, self.axis, total)
        else:
            y = step(self.module, x, first.children[0], axis=self.axis, last=last)
        state.counts["emitted"] += y.shape[dim]
        self._held = state
        return y.contiguous() if is_packed(y) and not is_packed(x) else y

    def _check(self, x: Tensor) -> None:
        dim = self.axis + 2
        if not isinstance(x, Tensor):
            raise TypeError(f"a chunk is a tensor (N, C, ...): got a {type(x).__name__}")
        if x.ndim <= dim or (self._axes and x.ndim != self._axes + 2):
            axes = self._axes or f"more than {self.axis}"
            raise ValueError(
                f"a chunk is (N, C, ...) with {axes} axes after the channels: got shape {tuple(x.shape)}"
            )
        like = self._state.tensors.get("like")
        if like is None:
            output_channels(self.module, x.shape[1])
            return
        ours, came = like.shape, x.shape
        same = ours[:dim] == came[:dim] and ours[dim + 1 :] == came[dim + 1 :]
        if not same or x.dtype != like.dtype or x.device != like.device:
            raise ValueError(
                f"a chunk of shape {tuple(came)}, {x.dtype} on {x.device} does not continue a stream of "
                f"{tuple(ours)}, {like.dtype} on {like.device}"
            )


def _as_it_is(module: nn.Module) -> bool:
    """Whether a module streams by its own steps, and nothing was put on it that they do not see."""
    if not (isinstance(module, nn.Module) and streams(module)) or unchecked(module):
        return False
    try:
        check_unchanged(module)
    except TypeError:
        return False
    return True


def _check_length_known(module: nn.Module) -> None:
    """Raise ValueError for a captured model that must know how long its input will be, and does not."""
    for part in module.modules():
        if getattr(part, "needs_length", False):
            raise ValueError(
                "what this model pads or cuts in front follows from the input's length: give length=, the "
                "steps of the whole input, to stream or to_streaming"
            )


def stream(
    module: nn.Module,
    *,
    axis: int = 0,
    example: Tensor | None = None,
    length: int | None = None,
    axes: str | None = None,
) -> Stream:
    """Run a module over its input in chunks of any size, with the result of one call on the whole.

    module: a layer of this package or one of torch's that `to_streaming` knows, or a stack of them; in
        eval mode where it has dropout or batch norms.
    axis: which axis after the channels the chunks come along; 0 is samples, frames or rows.
    example: an input, (N, C, ...), with which a module of anything else is captured (see `to_streaming`).
    length: steps that the whole input will have, where a captured model must know it (see `to_streaming`).
    axes: what a captured model takes and gives, where that is not (N, C, ...): `n t c`, `n t`,
        `n c t -> n t c`; the stream takes and gives (N, C, ...) (see `to_streaming`).
    Raises TypeError naming a layer that cannot stream, ValueError one that is in training mode, or for an
    axis that is not there.
    """
    return Stream(module, axis, example, length, axes)
