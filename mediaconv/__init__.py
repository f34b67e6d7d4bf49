"""mediaconv: convolution stacks and models, standard and causal, over sound, images and film.

    import mediaconv

    mediaconv.run("configs/video_causal.yaml")                 # a configuration over its inputs
    mediaconv.convert(model, "in.mp4", "out/")                 # any torch module over one file
    y = mediaconv.convert(model, x, normalize="none")          # or over an array, or chunks of one

Everything of the front door loads when it is first used: `import mediaconv` loads no torch. The layers are in
`mediaconv.nn`, which is useful alone; the command line is in `mediaconv.cli`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediaconv.front import compare, convert, load_config, load_stack, prove, run, trace

__version__ = "0.1.0"

__all__ = ["__version__", "compare", "convert", "load_config", "load_stack", "prove", "run", "trace"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("mediaconv.front"), name)
    raise AttributeError(f"module 'mediaconv' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallableRoom(ModuleType):
    """A subpackage that has the name of a function of the front door: calling it calls the function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    @property
    def __wrapped__(self) -> Any:
        return getattr(importlib.import_module("mediaconv.front"), self.__name__.rpartition(".")[2])


class _FrontDoor(ModuleType):
    """Importing `mediaconv.run.jobs` sets `mediaconv.run` to that package: it must stay what one calls."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in __all__ and type(value) is ModuleType:
            value.__class__ = _CallableRoom
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor
