"""Tensors moved between our layout, (N, C, ...), and a model's own.

How a model's own is written is `axes_pattern`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaconv.counted import counted
from mediaconv.nn.axes_pattern import AxesPattern


@dataclass(frozen=True)
class ModelLayout:
    """How a model is called with (N, C, ...), and what it gives becomes (N, C', ...).

    window: frames in the channels, 1 for none; output frame j is made of frames j - (window - 1) // 2 and on,
    or, where `causal`, of those up to j.
    """

    pattern: AxesPattern
    window: int = 1
    causal: bool = False

    def to_model(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to the model's. Raises ValueError for channels that it has no axis for."""
        pattern = self.pattern
        if x.ndim != len(pattern.letters) + 2:
            raise ValueError(
                f"axes={pattern.text!r}: got shape {tuple(x.shape)}, expected {self.ours}: streams take that"
            )
        if self.window > 1:
            x = self._gathered(x)
        ours = ["n", "c", *pattern.letters]
        if pattern.channel_axis() is None:
            if x.shape[1] != 1:
                raise ValueError(
                    f"axes={pattern.text!r} has no c, so the model takes one channel: got "
                    f"{counted(x.shape[1], 'channel')}"
                )
            x = x.squeeze(1)
            ours.remove("c")
        x = x.permute([ours.index(name) for name in _names(pattern.order)])
        if any(" " in token for token in pattern.order):
            x = x.flatten(0, 1)
        for i, token in enumerate(pattern.order):
            x = x.unsqueeze(i) if token == "1" else x
        return x

    def from_model(self, y: Tensor, batch: Any) -> Tensor:
        """Shape: the model's to (N, C', ...); axes that it lacks are of size 1. batch: N."""
        order, letters = self.pattern.output, self.pattern.letters
        if y.ndim != len(order):
            raise ValueError(
                f"axes={self.pattern.text!r}: the model gives shape {tuple(y.shape)}, expected {len(order)} "
                f"axes, {' '.join(map(_written, order))}: state that after ->, as in 'n c t -> n t c'"
            )
        for i in reversed([i for i, token in enumerate(order) if token == "1"]):
            y = y.squeeze(i)
        if any(" " in token for token in order):
            y = y.unflatten(0, (batch, -1))
        names = _names(order)
        own = [name for name in names if name != "n" and name not in letters]
        there = [letter for letter in letters if letter in names]
        y = y.permute([names.index(name) for name in ["n", *own, *there]])
        y = y.flatten(1, len(own)) if own else y.unsqueeze(1)
        for i, letter in enumerate(letters):
            y = y if letter in names else y.unsqueeze(i + 2)
        return y

    @property
    def ours(self) -> str:
        """The shape of what a stream takes, in words."""
        return f"(N, C, {', '.join(letter.upper() for letter in self.pattern.letters)})"

    def _gathered(self, x: Tensor) -> Tensor:
        """The frames of each window beside each other in the channels, those past the ends zero."""
        before = self.window - 1 if self.causal else (self.window - 1) // 2
        pads = [0, 0] * (x.ndim - 3) + [before, self.window - 1 - before]
        padded = F.pad(x, pads)
        count = x.shape[2]
        return torch.cat([padded.narrow(2, i, count) for i in range(self.window)], 1)


def _names(order: Sequence[str]) -> list[str]:
    """The axes of a layout in its order."""
    return [name for token in order for name in token.split() if name != "1"]


def _written(token: str) -> str:
    return f"({token})" if " " in token else token
