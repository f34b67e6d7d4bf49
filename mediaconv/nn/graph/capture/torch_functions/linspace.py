"""`linspace` and `logspace` of as many steps as the input has: torch exports them for one length alone.

While a module is captured they are operations of our own, which take a size and are torch's when they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.graph.capture.torch_functions.replaced import replaced

_LIBRARY = torch.library.Library("mediaconv", "FRAGMENT")
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {"linspace": torch.linspace, "logspace": torch.logspace}


def _define(name: str, function: Callable[..., Tensor]) -> None:
    def run(start: float, end: float, steps: int, base: float, dtype: torch.dtype, device: Any) -> Tensor:
        more = {"base": base} if name == "logspace" else {}
        return function(start, end, steps, **more, dtype=dtype, device=device)

    def empty(start: float, end: float, steps: Any, base: float, dtype: torch.dtype, device: Any) -> Tensor:
        return torch.empty([steps], dtype=dtype, device=device)

    _LIBRARY.define(
        f"{name}(Scalar start, Scalar end, SymInt steps, float base, ScalarType dtype, Device device)"
        " -> Tensor"
    )
    _LIBRARY.impl(name, run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"mediaconv::{name}", empty, lib=_LIBRARY)


for _name, _function in _FUNCTIONS.items():
    _define(_name, _function)


def _of_any_length(name: str) -> Callable[..., Tensor]:
    """A function of torch's, ours where its number of steps is a size of the input."""

    def call(
        start: Any,
        end: Any,
        steps: Any,
        base: float = 10.0,
        *,
        dtype: Any = None,
        device: Any = None,
        **more: Any,
    ) -> Tensor:
        given = {"base": base} if name == "logspace" else {}
        if not isinstance(steps, torch.SymInt) or isinstance(start, Tensor) or isinstance(end, Tensor):
            return _FUNCTIONS[name](start, end, steps, **given, dtype=dtype, device=device, **more)
        own = getattr(torch.ops.mediaconv, name)
        dtype = dtype or (torch.complex64 if isinstance(start, complex) else torch.get_default_dtype())
        return own(start, end, steps, base, dtype, torch.device(device or torch.get_default_device()))

    return call


@contextmanager
def spaces_of_any_length() -> Iterator[None]:
    """While it is open, `torch.linspace` and `torch.logspace` take sizes of the input."""
    with replaced(torch, **{name: _of_any_length(name) for name in _FUNCTIONS}):
        yield
