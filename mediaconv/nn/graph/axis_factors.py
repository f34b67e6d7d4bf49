"""Where batch and stream lie in a tensor's dimensions, and how views move them. Nothing is computed here.

A dimension is a row-major product of factors: whole numbers, `BATCH` and `STREAM`. Frames folded into the
batch are `(BATCH, STREAM)`, the result of a shuffle in one dimension `(STREAM, 4)`. A batch that is always of
one item is nowhere: it could be in any dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BATCH = "B"
STREAM = "S"
Factor = int | str
Dims = tuple[tuple[Factor, ...], ...]


class LayoutError(ValueError):
    """A change of shape that the stream axis does not survive."""


def find(dims: Dims, factor: str) -> int | None:
    """The dimension that holds a factor, or None."""
    return next((i for i, factors in enumerate(dims) if factor in factors), None)


def whole_factors(factors: Sequence[Factor]) -> int:
    """The product of the numbers among factors."""
    return math.prod(f for f in factors if isinstance(f, int))


def size_factors(size: int) -> tuple[int, ...]:
    """The factors of a dimension of so many positions: none for 1."""
    return (size,) if size != 1 else ()


def refined(dims: Dims, factor: int) -> Dims:
    """The dimensions with a stream `factor` times as fine: the numbers right after it join it.

    Raises LayoutError where other numbers follow it.
    """
    at = find(dims, STREAM)
    if at is None:
        raise LayoutError("there is no stream axis")
    factors = dims[at]
    index = factors.index(STREAM)
    if whole_factors(factors[index + 1 :]) % factor or BATCH in factors[index + 1 :]:
        raise LayoutError(f"the stream cannot become {factor} times as fine")
    rest = whole_factors(factors[index + 1 :]) // factor
    kept = (*factors[: index + 1], *size_factors(rest))
    return (*dims[:at], kept, *dims[at + 1 :])


def regroup(
    dims: Dims, sizes: Sequence[int], streamed: Sequence[bool], batch: int, length: int
) -> tuple[Dims, int]:
    """The dimensions of a view, and how many positions it makes one (1: the stream is as before).

    sizes: of the view. streamed: which of them depend on the stream's length. batch, length: the factors'
    sizes at which `sizes` were computed. Raises LayoutError where the stream is cut into segments.
    """
    flat: list[Factor] = []
    for factor in (f for factors in dims for f in factors):
        if isinstance(factor, int) and flat and isinstance(flat[-1], int):
            flat[-1] *= factor
        else:
            flat.append(factor)
    block, taken, out = 1, False, []
    for size, along in zip(sizes, streamed, strict=True):
        group: list[Factor] = []
        rest = size
        while rest > 1 or (along and STREAM not in group):
            if not flat:
                raise LayoutError("the view does not fit its input")
            factor = flat.pop(0)
            if factor == STREAM:
                if not along or taken:
                    raise LayoutError("it cuts the stream axis into segments")
                now = length
                if rest % now:
                    if now % rest:
                        raise LayoutError("it regroups the stream axis")
                    block, now = now // rest, rest
                    flat.insert(0, block)
                taken = True
            else:
                now = batch if factor == BATCH else int(factor)
                if rest % now:
                    if factor == BATCH or now % rest or rest == 1:
                        raise LayoutError("it mixes the stream or the batch with another axis")
                    flat.insert(0, now // rest)
                    factor = now = rest
            group.append(factor)
            rest //= now
        out.append(tuple(f for f in group if f != 1))
    if STREAM in flat or BATCH in flat:
        raise LayoutError("the view does not fit its input")
    return tuple(out), block


@dataclass(frozen=True)
class Along:
    """Access to a tensor along its stream axis. outer has the batch where `batched`, inner where `fast`."""

    dims: Dims
    dim: int
    outer: int
    batched: bool
    inner: int
    fast: bool = False

    @classmethod
    def of(cls, dims: Dims) -> Along:
        dim = find(dims, STREAM)
        if dim is None:
            raise LayoutError("there is no stream axis")
        index = dims[dim].index(STREAM)
        before, after = dims[dim][:index], dims[dim][index + 1 :]
        fast = BATCH in after
        return cls(dims, dim, whole_factors(before), fast or BATCH in before, whole_factors(after), fast)

    @classmethod
    def cut(cls, dims: Dims) -> Along:
        """As `of`, where chunks are to be cut and joined."""
        along = cls.of(dims)
        if along.fast:
            raise LayoutError("the batch varies faster than the stream")
        return along

    @property
    def plain(self) -> bool:
        """Whether chunks lie one after the other in the dimension."""
        return self.outer == 1 and not self.batched

    def unit(self, batch: int) -> int:
        """Elements of the dimension at one position of the stream."""
        return self.outer * self.inner * (batch if self.batched else 1)

    def length(self, x: Tensor, batch: int) -> int:
        """Positions in a chunk."""
        return x.shape[self.dim] // self.unit(batch)

    def narrow(self, x: Tensor, start: int, length: int, batch: int) -> Tensor:
        """Some positions of a chunk."""
        if self.plain:
            return x.narrow(self.dim, start * self.inner, length * self.inner)
        outer = self.outer * (batch if self.batched else 1)
        split = x.unflatten(self.dim, (outer, x.shape[self.dim] // outer))
        return split.narrow(self.dim + 1, start * self.inner, length * self.inner).flatten(
            self.dim, self.dim + 1
        )

    def join(self, parts: Sequence[Tensor], batch: int) -> Tensor:
        """Chunks one after the other."""
        if len(parts) == 1:
            return parts[0]
        if self.plain:
            return torch.cat(list(parts), self.dim)
        outer = self.outer * (batch if self.batched else 1)
        split = [p.unflatten(self.dim, (outer, p.shape[self.dim] // outer)) for p in parts]
        return torch.cat(split, self.dim + 1).flatten(self.dim, self.dim + 1)


def shape_of(dims: Dims, batch: int, length: int) -> list[int]:
    """Sizes of a tensor of these dimensions."""
    size = {BATCH: batch, STREAM: length}
    return [math.prod(size[f] if isinstance(f, str) else f for f in factors) for factors in dims]


def batch_first(x: Tensor, dims: Dims, batch: int) -> Tensor:
    """The tensor as a stream's state keeps it: the batch alone in dimension 0."""
    at = find(dims, BATCH)
    if at is None:
        return x.unsqueeze(0)
    before = whole_factors(dims[at][: dims[at].index(BATCH)]) if STREAM not in dims[at] else 1
    split = x.unflatten(at, (before, batch, x.shape[at] // (before * batch)))
    return split.movedim(at + 1, 0)


def native(x: Tensor, dims: Dims) -> Tensor:
    """The inverse of `batch_first`."""
    at = find(dims, BATCH)
    return x.squeeze(0) if at is None else x.movedim(0, at + 1).flatten(at, at + 2)


def is_batch_first(dims: Dims) -> bool:
    """Whether dimension 0 is the batch and nothing else, or one long where no batch is told apart."""
    return bool(dims) and (dims[0] == (BATCH,) or (dims[0] == () and find(dims, BATCH) is None))
