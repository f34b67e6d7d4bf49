"""Exact execution in chunks: `stream(module)` runs a module over one input, chunk by chunk.

The layers' own steps do the work; a stream owns their state, checks that chunks fit together, and ends
the input.
"""

from __future__ import annotations

from fractions import Fraction

from torch import Tensor, nn

from mediaconv.nn.layer import axis_map, init_state, step
from mediaconv.nn.state import State


class Stream:
    """A module running over one input, chunk by chunk. Made by `stream`.

    Every `push` returns the outputs that became complete, shape (N, C, ...), possibly none along the
    stream axis; `flush` ends the input and returns the rest. Joined they equal the module on the whole.
    """

    def __init__(self, module: nn.Module, axis: int) -> None:
        self.module = module
        self.axis = axis
        self.map = axis_map(module, axis)
        self._state = init_state(module, axis)
        self._like: Tensor | None = None
        self._flushed = False

    @property
    def latency(self) -> int | float:
        """Inputs after an output's own time that it waits for; `math.inf` where it waits for the end."""
        return self.map.latency

    @property
    def receptive_field(self) -> int | float:
        """Inputs from the first to the last that one output reads."""
        return self.map.receptive_field

    @property
    def stride(self) -> Fraction:
        """Input steps an output step."""
        return self.map.stride

    def output_length(self, length: int) -> int:
        """Outputs in all for an input of `length` steps."""
        return self.map.output_length(length)

    def push(self, x: Tensor) -> Tensor:
        """Take the next chunk, (N, C, ...); any length along the stream axis, 0 too.

        Raises ValueError after `flush`, or for a chunk that does not continue the ones before it.
        """
        if self._flushed:
            raise ValueError("this stream was flushed: its input has ended; call reset() to begin another")
        self._check(x)
        return step(self.module, x, self._state, axis=self.axis, last=False)

    def flush(self) -> Tensor:
        """End the input and return the outputs that were waiting for more of it."""
        if self._flushed:
            raise ValueError("this stream was flushed already; call reset() to begin another")
        if self._like is None:
            raise ValueError(
                "nothing was pushed: a stream learns its shape from the first chunk (it may be empty)"
            )
        y = step(self.module, self._like, self._state, axis=self.axis, last=True)
        self._flushed = True
        return y

    def reset(self) -> None:
        """Forget everything: the next push begins a new input."""
        self._state = init_state(self.module, self.axis)
        self._like = None
        self._flushed = False

    def get_state(self) -> State:
        """A copy of the state, independent of what the stream does next."""
        return self._state.copy()

    def copy(self) -> Stream:
        """An independent stream over the same module, at the same place."""
        twin = Stream(self.module, self.axis)
        twin._state = self._state.copy()
        twin._like = self._like
        twin._flushed = self._flushed
        return twin

    def _check(self, x: Tensor) -> None:
        dim = self.axis + 2
        if x.ndim <= dim:
            raise ValueError(
                f"a chunk is (N, C, ...) with axis {self.axis} after the channels: got {tuple(x.shape)}"
            )
        if self._like is None:
            self._like = x.detach().narrow(dim, 0, 0).clone()
            return
        ours, came = list(self._like.shape), list(x.shape)
        ours[dim] = came[dim] = -1
        if ours != came or x.dtype != self._like.dtype or x.device != self._like.device:
            raise ValueError(
                f"a chunk of shape {tuple(x.shape)}, {x.dtype} on {x.device} does not continue a stream of "
                f"{tuple(self._like.shape)}, {self._like.dtype} on {self._like.device}"
            )


def stream(module: nn.Module, *, axis: int = 0) -> Stream:
    """Run a module over its input in chunks of any size, with the result of one call on the whole.

    module: a layer of this package, a torch activation, or a `Sequential` of them.
    axis: which axis after the channels the chunks come along; 0 is samples, frames or rows.
    Raises TypeError naming a layer that cannot stream.
    """
    return Stream(module, axis)
