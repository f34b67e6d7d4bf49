"""Products in torch's FlopCounterMode: what `algorithms` calls counts as any convolution does.

`torch.utils.flop_counter` loads Triton where that is installed, which takes a tenth of torch's own import: so
the formula is registered when a program imports that module, not before.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

COUNTER = "torch.utils.flop_counter"


def register_when_counted() -> None:
    """Register the formula now where the counter is loaded, else as soon as it is."""
    counter = sys.modules.get(COUNTER)
    if counter is not None:
        _register(counter)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _register(counter: ModuleType) -> None:
    operators = [torch.ops.aten.mkldnn_convolution]
    if torch.backends.mkldnn.is_available():
        operators.append(torch.ops.mkldnn._convolution_pointwise)
    operators = [operator for operator in operators if operator not in counter.flop_registry]
    if not operators:
        return

    def products(
        x: Sequence[int], weight: Sequence[int], *rest: object, out_shape: Any, **more: object
    ) -> int:
        return counter.conv_flop_count(list(x), list(weight), list(out_shape))

    counter.register_flop_formula(operators)(products)
    if not torch.backends.mkldnn.is_available():
        return

    def products_added(
        to: Sequence[int], x: Sequence[int], weight: Sequence[int], *rest: object, **more: object
    ) -> int:
        return counter.conv_flop_count(list(x), list(weight), list(to))

    counter.register_flop_formula([torch.ops.mkldnn._convolution_pointwise_])(products_added)


class _Finder:
    """Finds one module as all others do, and registers once it is loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if name != COUNTER or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            _register(module)

        spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec
