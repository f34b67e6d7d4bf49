"""The way through a stack, layer by layer, along both paths of a residual block.

What is carried along is the visitor's.
A block whose inside is not known (any module that is no container of ours) counts as one layer.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from torch import nn

from mediaconv.nn import Branches, Gated
from mediaconv.nn.streaming.protocol import each_child

V = TypeVar("V")


class Visitor(Generic[V]):
    """What happens along the way. Names are those of the modules in the stack: "1.layers.0"."""

    def layer(self, name: str, module: nn.Module, x: V) -> V:
        """A layer proper: from what comes in to what goes out."""
        raise NotImplementedError

    def enter(self, name: str, module: Branches, x: V) -> None:
        """A block of parallel paths begins."""

    def enter_path(self, name: str, part: str, x: V) -> None:
        """The next path of the block begins."""

    def merge(self, name: str, module: Branches, x: V, parts: list[V]) -> V:
        """The block ends: the outputs of its paths become one."""
        raise NotImplementedError


def follow(module: nn.Module, x: V, visitor: Visitor[V], *, name: str = "") -> V:
    """Send `x` through a module, every layer inside by itself; what the last one gives."""
    if isinstance(module, nn.Sequential):
        for part, child in each_child(module):
            x = follow(child, x, visitor, name=_joined(name, part))
        return x
    if isinstance(module, Branches):
        visitor.enter(name, module, x)
        parts = []
        for part, path in module.parts():
            visitor.enter_path(name, part, x)
            identity = type(path) is nn.Identity
            parts.append(x if identity else follow(path, x, visitor, name=_joined(name, part)))
        return visitor.merge(name, module, x, parts)
    if isinstance(module, Gated):
        for part, child in module.parts():
            x = follow(child, x, visitor, name=_joined(name, part))
        return x
    return visitor.layer(name, module, x)


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part
