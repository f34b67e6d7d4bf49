"""Weights in another order, kept from one stream of a model to the next while they hold the same values.

To change the order takes longer than to read a weight once. What is written through `.data` no counter tells
of, so the values themselves are compared when a stream begins: by a digest of all bytes, which needs no
memory, and which two weights share by chance once in 2**64 times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.backends.algorithms import is_recorded

_BLOCK = 2**18
"""Bytes of which one hash is taken: their copy stays in the processor's cache."""


class KeptWeights:
    """Weights, and the same in another order once a call can use it."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._weights = [w.detach() for w in weights]
        self._digest: Any = None

    def note(self) -> None:
        """To be called before the first change of order: what the weights are now."""
        if self._digest is None:
            self._digest = digest(self._weights)

    def serves(self, weights: Sequence[Tensor]) -> bool:
        """Whether some were put in order, and these have the same values; they take their place then."""
        if self._digest is None or self._digest != digest(weights):
            return False
        self._weights = [w.detach() for w in weights]
        return True


def digest(weights: Sequence[Tensor]) -> Any:
    """Types, shapes and a keyed hash of all values."""
    return [(w.dtype, w.device, tuple(w.shape), _hashes(w.detach())) for w in weights]


def _hashes(w: Tensor) -> list[int]:
    if not w.is_cpu:
        return [id(w)]  # what is put in another order lies on the CPU
    values = w.contiguous().view(-1).view(torch.uint8).numpy()
    return [hash(values[i : i + _BLOCK].tobytes()) for i in range(0, values.size, _BLOCK)]


class Keeper:
    """Makes what `kind` makes of weights, or gives the last again where that serves."""

    def __init__(self, kind: Callable[..., KeptWeights]) -> None:
        self._kind = kind
        self._last: KeptWeights | None = None

    def __call__(self, *weights: Tensor) -> KeptWeights:
        last = self._last
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if traced or is_recorded(*weights) or any(type(w) not in (Tensor, nn.Parameter) for w in weights):
            return self._kind(*weights)
        if last is None or not last.serves(weights):
            last = self._last = self._kind(*weights)
        return last
