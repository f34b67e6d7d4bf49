"""Normalizers: from what a stack gives to values that a file can hold. They do not round (media/samples.py).

Each one is the same four steps on every element: `gain * x + bias`, a squashing function, a linear map
from that function's own range onto the medium's `signal_range`, a clamp to it. So each can run in torch,
in place, or in a compiled loop that reads the same steps (`Normalizer.steps`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mediaconv.errors import ConfigError, nearest

if TYPE_CHECKING:
    from torch import Tensor

Range = tuple[float, float]


@dataclass(frozen=True)
class Steps:
    """What happens to each element: y = squash(gain*x + bias); (y - centre) * factor + offset; clamp.

    squash: "sigmoid", "tanh" or None. clamp_input, clamp: bounds before and after the linear map, or None.
    """

    gain: float = 1.0
    bias: float = 0.0
    squash: str | None = None
    clamp_input: Range | None = None
    centre: float = 0.0
    factor: float = 1.0
    offset: float = 0.0
    clamp: Range | None = None

    @property
    def scales(self) -> bool:
        """Whether the first linear step does anything."""
        return (self.gain, self.bias) != (1.0, 0.0)

    @property
    def maps(self) -> bool:
        """Whether the second linear step does anything."""
        return self.factor != 1.0 or self.centre != self.offset


class Normalizer(ABC):
    """One way of normalizing, for one medium.

    signal_range: lowest and highest value that the file holds: (0, 1) pictures, (-1, 1) sound.
    """

    name: ClassVar[str]
    options: ClassVar[Mapping[str, str]]
    """Names of the options and what they mean."""
    two_passes: ClassVar[bool] = False
    """Whether the whole output must be observed first: not possible under `causal`."""

    def __init__(self, signal_range: Range) -> None:
        self.signal_range = signal_range

    @abstractmethod
    def steps(self) -> Steps:
        """What is done to each element."""

    def __call__(self, x: Tensor) -> Tensor:
        """Normalize a float tensor of any shape in place, and return it."""
        steps = self.steps()
        if steps.gain != 1.0:
            x.mul_(steps.gain)
        if steps.bias != 0.0:
            x.add_(steps.bias)
        if steps.squash == "sigmoid":
            x.sigmoid_()
        elif steps.squash == "tanh":
            x.tanh_()
        if steps.clamp_input is not None:
            x.clamp_(*steps.clamp_input)
        if steps.maps:
            x.sub_(steps.centre).mul_(steps.factor).add_(steps.offset)
        return x if steps.clamp is None else x.clamp_(*steps.clamp)

    def _onto_signal(self, low: float, high: float) -> Steps:
        """The linear map from low ... high, by the centres: nothing is lost near a range's middle."""
        bottom, top = self.signal_range
        factor = (top - bottom) / (high - low)
        return Steps(centre=(low + high) / 2, factor=factor, offset=(bottom + top) / 2)


class Sigmoid(Normalizer):
    """1 / (1 + exp(-(gain*x + bias))), onto the signal's range: 0 becomes its middle, silence for sound."""

    name = "sigmoid"
    options: ClassVar = {"gain": "slope before the sigmoid", "bias": "added after the gain"}

    def __init__(self, signal_range: Range, *, gain: float = 1.0, bias: float = 0.0) -> None:
        super().__init__(signal_range)
        self.gain, self.bias = gain, bias

    def steps(self) -> Steps:
        bottom, top = self.signal_range
        if bottom == -top:  # 2 sigmoid(z) - 1 = tanh(z/2), in which quiet sound keeps all its digits
            return Steps(gain=self.gain / 2, bias=self.bias / 2, squash="tanh", factor=top)
        return replace(self._onto_signal(0.0, 1.0), gain=self.gain, bias=self.bias, squash="sigmoid")


class Tanh(Normalizer):
    """tanh(gain*x), from (-1, 1) onto the signal's range."""

    name = "tanh"
    options: ClassVar = {"gain": "slope before the tanh"}

    def __init__(self, signal_range: Range, *, gain: float = 1.0) -> None:
        super().__init__(signal_range)
        self.gain = gain

    def steps(self) -> Steps:
        return replace(self._onto_signal(-1.0, 1.0), gain=self.gain, squash="tanh")


class Clip(Normalizer):
    """Values cut to low ... high (the signal's range unless given), mapped onto the signal's range."""

    name = "clip"
    options: ClassVar = {"low": "becomes the lowest stored value", "high": "becomes the highest"}

    def __init__(self, signal_range: Range, *, low: float | None = None, high: float | None = None) -> None:
        super().__init__(signal_range)
        self.low = signal_range[0] if low is None else low
        self.high = signal_range[1] if high is None else high
        if not self.low < self.high:
            raise ConfigError(
                f"normalize.clip: got low {self.low:g} and high {self.high:g}, expected low < high"
            )

    def steps(self) -> Steps:
        steps = self._onto_signal(self.low, self.high)
        return replace(steps, clamp_input=(self.low, self.high), clamp=self.signal_range)


class MinMax(Normalizer):
    """The smallest and the largest value of the whole output, all channels together, onto the signal's range.

    `observe` every chunk in a first pass, then call it. A constant output becomes the middle of the range.
    """

    name = "minmax"
    options: ClassVar = {}
    two_passes = True

    def __init__(self, signal_range: Range) -> None:
        super().__init__(signal_range)
        self.reset()

    def reset(self) -> None:
        """Forget what was observed: another input begins."""
        self.low, self.high = math.inf, -math.inf

    def observe(self, values: Tensor | np.ndarray) -> None:
        """Take note of a chunk of the stack's output, of any shape, empty ones too."""
        if math.prod(values.shape):
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))

    def steps(self) -> Steps:
        if self.low > self.high:
            raise RuntimeError("minmax: observe the whole output first")
        if self.low == self.high:
            middle = sum(self.signal_range) / 2
            return Steps(centre=self.low, factor=0.0, offset=middle, clamp=self.signal_range)
        return replace(self._onto_signal(self.low, self.high), clamp=self.signal_range)


class Unchanged(Normalizer):
    """Values as the stack gives them; what lies outside the signal's range is clipped by quantizing."""

    name = "none"
    options: ClassVar = {}

    def steps(self) -> Steps:
        return Steps()


NORMALIZERS: dict[str, type[Normalizer]] = {n.name: n for n in (Sigmoid, Tanh, Clip, MinMax, Unchanged)}


def make_normalizer(
    name: str, options: Mapping[str, Any] | None = None, signal_range: Range = (0.0, 1.0)
) -> Normalizer:
    """The normalizer of that name for a medium with that signal range; an option that is None is not given.

    Raises ConfigError for a name, an option or a value that is not allowed.

    >>> import torch
    >>> make_normalizer("sigmoid", {"gain": 4})(torch.zeros(2))
    tensor([0.5000, 0.5000])
    >>> make_normalizer("clip", {"low": -2, "high": 2}, (-1.0, 1.0))(torch.tensor([-3.0, 1.0]))
    tensor([-1.0000,  0.5000])
    """
    kind = NORMALIZERS.get(name)
    if kind is None:
        hint = nearest(name, NORMALIZERS)
        raise ConfigError(f"normalize: got {name!r}, expected one of {', '.join(NORMALIZERS)}{hint}")
    stated = {key: value for key, value in (options or {}).items() if value is not None}
    for key, value in stated.items():
        if key not in kind.options:
            allowed = ", ".join(kind.options) or "no options"
            raise ConfigError(
                f"normalize.{name}.{key}: not an option, expected {allowed}{nearest(key, kind.options)}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"normalize.{name}.{key}: got {value!r}, expected a finite number")
    return kind(signal_range, **{k: float(v) for k, v in stated.items()})
