"""`int` and `float` of a size, in a model's own code, as sizes that follow the input's while it is captured.

`int(math.ceil(x.shape[-1] / hop))` asks torch for a number, and the export would hold for one length alone.
The names are looked up in the code's modules before Python's own, and are taken out again afterwards.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

_OWN = ("torch", "mediaconv", "builtins", "numpy")
"""Packages whose code stays as it is."""


class _Stated(type):
    """Of a class that stands for one of Python's: instances of that are its own."""

    python: type
    of_size: Callable[[Any], Any]

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if len(args) == 1 and not options:
            size = cls.of_size(args[0])
            if size is not None:
                return size
        return cls.python(*args, **options)

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, cls.python)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, cls.python)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.python

    def __hash__(cls) -> int:
        return hash(cls.python)


def stated(python: type, of_size: Callable[[Any], Any]) -> type:
    """A class in place of `int` or `float`.

    of_size: of one argument, what it is as a size; None for others.
    """
    space = {"python": python, "of_size": staticmethod(of_size)}
    return _Stated(python.__name__, (python,), space)


@contextmanager
def sizes_stay_sizes(module: nn.Module, **names: type) -> Iterator[None]:
    """While it is open, the code of a module's classes has these names instead of Python's."""
    spaces = list(_spaces(module))
    set_ = [(space, name) for space in spaces for name in names if name not in space]
    for space, name in set_:
        space[name] = names[name]
    try:
        yield
    finally:
        for space, name in set_:
            space.pop(name, None)


def _spaces(module: nn.Module) -> Iterator[dict[str, Any]]:
    """Global names of the code that a module may run: its classes' files and others of their packages."""
    kinds = {kind for part in module.modules() for kind in type(part).__mro__}
    packages, seen = set(), set()
    for kind in kinds:
        package = kind.__module__.split(".")[0]
        space = getattr(getattr(kind, "forward", None), "__globals__", None)
        if package in _OWN or (package in sys.stdlib_module_names and package != "__main__"):
            continue
        packages.add(package)
        if isinstance(space, dict) and space.get("__name__", "").split(".")[0] not in _OWN:
            seen.add(id(space))
            yield space
    for name, found in list(sys.modules.items()):
        space = getattr(found, "__dict__", None)
        own = name.split(".")[0] in packages and isinstance(space, dict)
        if own and id(space) not in seen and space is not vars(builtins):
            yield space  # type: ignore[misc]
