"""Numbers that a model reads from small constants, `torch.arange(1, x.ndim).tolist()`: known in its export.

The export takes the values of every tensor for unknown, so that such a number would refuse the model. What
follows from plain numbers alone is computed beside it. Parameters and buffers are not taken: they may change.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.weak import WeakTensorKeyDictionary

_MOST = 64
"""Numbers of a constant that is followed."""
_READ = ("item", "tolist", "__int__", "__float__", "__bool__", "__index__")
_CHANCE = ("rand", "normal", "bernoulli", "multinomial", "poisson", "empty", "dropout")
_PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device, torch.layout, slice)


class ConstantNumbers(TorchFunctionMode):
    """While it is open, numbers read from constants are plain ones."""

    def __init__(self) -> None:
        super().__init__()
        self.known: Any = WeakTensorKeyDictionary()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name in _READ and len(args) == 1 and isinstance(args[0], Tensor) and args[0] in self.known:
            with _disable_current_modes():
                return getattr(self.known[args[0]], name)()
        result = function(*args, **kwargs)
        if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")) or "out" in kwargs:
            self.known.clear()  # a write, which views of it have too
        else:
            self._follow(function, name, args, kwargs, result)
        return result

    def _follow(self, function: Any, name: str, args: Any, kwargs: Any, result: Any) -> None:
        """Compute on known constants what was computed on the export's tensors."""
        results = list(result) if isinstance(result, tuple | list) else [result]
        if not results or not all(isinstance(r, Tensor) and _small(r) for r in results):
            return
        if any(word in name for word in _CHANCE):
            return
        try:
            known = self._known((args, {**kwargs, "device": "cpu"} if "device" in kwargs else kwargs))
            with _disable_current_modes():
                values = function(*known[0], **known[1])
        except Exception:  # of any kind: the number is then as unknown as before
            return
        values = list(values) if isinstance(values, tuple | list) else [values]
        for r, value in zip(results, values, strict=True):
            if isinstance(value, Tensor) and value.shape == r.shape and value.dtype == r.dtype:
                self.known[r] = value

    def _known(self, argument: Any) -> Any:
        """Arguments with the values of tensors. Raises KeyError where one is not known."""
        if isinstance(argument, dict):
            return {key: self._known(value) for key, value in argument.items()}
        if isinstance(argument, list | tuple):
            return type(argument)(map(self._known, argument))
        if isinstance(argument, Tensor):
            return self.known[argument]
        if isinstance(argument, _PLAIN):
            return argument
        raise KeyError(argument)


def _small(t: Tensor) -> bool:
    return all(isinstance(size, int) for size in t.shape) and t.numel() <= _MOST
