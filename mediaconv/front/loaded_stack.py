"""A stack as `load_stack` gives it: shown as its trace, and drawn over an input by `plot`."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import torch

import mediaconv.nn as mnn
from mediaconv.errors import UsageError
from mediaconv.nn.streaming.protocol import axis_map
from mediaconv.run.plots.chart import draw
from mediaconv.run.plots.gather import Gathered


class Picture:
    """A PNG that a notebook shows. data: the file."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"Picture({len(self.data):,} bytes of PNG)"

    def _repr_png_(self) -> bytes:
        return self.data


class LoadedStack(mnn.Sequential):
    """The stack of a configuration."""

    def plot(self, x: Any, *, rate_hz: float | None = None, title: str = "") -> Picture:
        """The input and each output channel, as `run --plots` draws them.

        x: (C, n, ...) or (1, C, n, ...), an array or a tensor. rate_hz: its steps a second.
        Raises UsageError for another shape.

        >>> import mediaconv, numpy
        >>> stack = mediaconv.load_stack(
        ...     {"pipeline": "image", "input": "i", "output": "o", "stack": [{"conv": {"kernel": "sobel"}}]},
        ...     channels=1,
        ... )
        >>> stack.plot(numpy.zeros((1, 8, 8), "float32")).data[:4]
        b'\\x89PNG'
        """
        own = (p.dtype for p in self.parameters() if p.is_floating_point())
        values = torch.as_tensor(x).detach().cpu().to(next(own, torch.float32))
        dims = next((n for m in self.modules() if isinstance(n := getattr(m, "dims", None), int)), None)
        if dims is not None and values.ndim == dims + 2 and len(values) == 1:
            values = values[0]
        axes = values.ndim - 1
        if axes not in (1, 2, 3) or dims not in (None, axes):
            wanted = "channels and the stack's axes" if dims is None else f"channels and {dims} axes"
            raise UsageError(f"plot: got an input of shape {tuple(values.shape)}, expected {wanted}")
        with torch.no_grad():
            y = self(values[None])[0]
        ratio = 1 / Fraction(axis_map(self).total_stride)
        gathered = Gathered(axes, tuple(values.shape[1:])), Gathered(axes, tuple(y.shape[1:]), 1 / ratio)
        for part, shown in zip(gathered, (values, y), strict=True):
            part.add(shown.numpy())
        target = io.BytesIO()
        names = [f"channel_{c}" for c in range(len(y))]
        draw(
            target,
            *gathered,
            title=title,
            names=names,
            axes=axes,
            rate=rate_hz,
            ratio=float(ratio),
            merged=False,
        )
        return Picture(target.getvalue())
