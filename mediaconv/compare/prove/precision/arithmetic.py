"""How a module computes: its lowest precision, its transforms, and what its zeros hide. Sees every operation
that torch runs for it, and judges nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
PRODUCTS = ("aten::mm", "aten::bmm", "aten::baddbmm", "aten::addmm")
LOWER = (torch.float32, torch.float16, torch.bfloat16)
MASK = -1e30
"""Numbers below it are added to hide something: minus infinity, or the lowest of a type."""


@dataclass
class Survey:
    """What a call on float64 input does to it.

    precision: the lowest of what is computed of the input. transforms: whether by FFT. attends: whether what
    is computed of the input is multiplied, as matrices, with what is computed of it too.
    """

    precision: float = torch.finfo(torch.float64).eps
    transforms: bool = False
    attends: bool = False


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention in the operations that it consists of, not in the single one that torch has for inference."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@torch.no_grad()
def survey(function: Callable[[Tensor], Tensor], x: Tensor) -> Survey:
    """Call once and note what is computed."""
    found = Survey()
    known = {id(x): x}

    class Noting(TorchDispatchMode):
        def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = op(*args, **(kwargs or {}))
            name = op.name()
            of_input = [id(value) in known for value in tree_leaves(args) if isinstance(value, Tensor)]
            found.transforms |= name.startswith("aten::_fft")
            found.attends |= "scaled_dot_product" in name or (name in PRODUCTS and sum(of_input) > 1)
            for value in tree_leaves(made) if any(of_input) else ():
                if isinstance(value, Tensor):
                    known[id(value)] = value  # held, so that no other gets its number
                    if value.is_floating_point():
                        found.precision = max(found.precision, torch.finfo(value.dtype).eps)
            return made

    with plain_attention(), Noting():
        function(x)
    return found


class KeptPrecise(TorchDispatchMode):
    """Everything is computed in float64, whatever lower type a module asks for."""

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("dtype") in LOWER:
            kwargs["dtype"] = torch.float64
        made = op(*args, **kwargs)
        return made if op.name().split(".")[0].endswith("_") else tree_map(_widened, made)


def _widened(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.dtype in LOWER else value


class ZerosHide(TorchDispatchMode):
    """A weight or mask of zero hides what it is multiplied by, also NaN; so does minus infinity added.

    In sums of products (convolutions, matrix products, attention), and in products with a mask: a tensor in
    which some numbers are zero and others not. What is multiplied by zeros alone is still read.
    """

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        return _HIDING.get(op, op)(*args, **kwargs)


def _sum_of_products(product: Callable[..., Tensor], a: Tensor, b: Tensor, *rest: Any) -> Tensor:
    """The product of what is finite, NaN where what is not meets a number that is not zero."""
    if bool(a.isfinite().all()) and bool(b.isfinite().all()):
        return product(a, b, *rest)
    finite = product(_finite(a), _finite(b), *rest)
    bad_a, bad_b = (~a.isfinite()).to(a.dtype), (~b.isfinite()).to(b.dtype)
    met = product(bad_a, (b != 0).to(b.dtype), *rest) + product((a != 0).to(a.dtype), bad_b, *rest)
    return torch.where(met > 0.5, torch.nan, finite)


def _finite(x: Tensor) -> Tensor:
    return torch.where(x.isfinite(), x, 0.0)


def _mm(a: Tensor, b: Tensor) -> Tensor:
    return _sum_of_products(torch.matmul, a, b)


def _add(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    made = torch.add(a, b, alpha=alpha)
    for part in (a, b):
        if isinstance(part, Tensor) and part.is_floating_point():
            made = torch.where((part <= MASK) & ~made.isfinite(), -math.inf, made)
    return made


def _added(start: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    return _add(start if beta == 1 else beta * start, _mm(a, b), alpha=alpha)


def _mul(a: Any, b: Any) -> Tensor:
    made = torch.mul(a, b)
    for part in (a, b):
        if isinstance(part, Tensor) and part.is_floating_point() and part.numel() > 1:
            zero = part == 0
            if bool(zero.any()) and not bool(zero.all()):
                made = torch.where(zero, 0.0, made)
    return made


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
    made = _sum_of_products(lambda a, b: aten.convolution(a, b, None, *rest), x, weight)
    return made if bias is None else made + bias.view(-1, *[1] * (made.ndim - 2))


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention, as torch defines it. Returns what the operation does."""
    scores = _mm(q, k.transpose(-1, -2)) * (scale or q.shape[-1] ** -0.5)
    if is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    if attn_mask is not None:
        scores = _add(scores, attn_mask)
    return _mm(scores.softmax(-1), v), scores.logsumexp(-1)


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return target.copy_(function(target, *args, **kwargs))

    return run


_HIDING: dict[Any, Callable[..., Any]] = {
    aten.mm.default: _mm,
    aten.bmm.default: _mm,
    aten.mv.default: _mm,
    aten.dot.default: _mm,
    aten.addmm.default: _added,
    aten.baddbmm.default: _added,
    aten.addmv.default: _added,
    aten.add.Tensor: _add,
    aten.add_.Tensor: _in_place(_add),
    aten.mul.Tensor: _mul,
    aten.mul_.Tensor: _in_place(_mul),
    aten.convolution.default: _convolution,
    aten._scaled_dot_product_flash_attention_for_cpu.default: _attention,
}


def under(
    mode: type[TorchDispatchMode], function: Callable[[Tensor], Tensor], inputs: Iterable[Tensor]
) -> list[Tensor] | None:
    """What a function makes of some inputs under a mode; None where it cannot be run so."""
    try:
        with torch.no_grad(), plain_attention(), mode():
            return [function(x) for x in inputs]
    except (RuntimeError, ValueError, TypeError, NotImplementedError):
        return None
