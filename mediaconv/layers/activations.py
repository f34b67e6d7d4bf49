"""The activations: torch.nn's, by torch's names in lower case, with torch's options and defaults.

Softmax, log_softmax, softmin and glu work over the channels, torch's `dim: 1`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, create_model

from mediaconv.config.problems import Problem
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Count, NonNegative, Number, Positive
from mediaconv.counted import counted
from mediaconv.layers.layer_spec import BuildContext, LayerSpec
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


class Activation(LayerSpec):
    """A function of each value, or of the channels of each position. `options` are torch's arguments."""

    torch_name: ClassVar[str]
    """The class in torch.nn."""

    def problems(self, context: ValidationContext) -> list[Problem]:
        problems = super().problems(context)
        for low, high, words, in_order in _ORDERED:
            if hasattr(self, low) and not in_order(getattr(self, low), getattr(self, high)):
                text = f"got {getattr(self, high):g}, expected {words} {low}, {getattr(self, low):g}"
                problems.append(Problem((high,), text))
        return problems

    def build(self, context: BuildContext) -> nn.Module:
        from torch import nn

        options = dict(self)
        parameters = options.get("num_parameters", 1)
        if parameters not in (1, context.channels):
            raise ValueError(
                f"num_parameters: got {parameters}, expected 1, or one per channel: {context.channels}"
            )
        if self.name == "glu" and context.channels % 2:
            raise ValueError(
                f"got {counted(context.channels, 'channel')}, expected an even number: "
                "half of them gate the others"
            )
        return getattr(nn, self.torch_name)(**options)


_ORDERED: tuple[tuple[str, str, str, Callable[[float, float], bool]], ...] = (
    ("min_val", "max_val", "more than", operator.lt),
    ("lower", "upper", "at least", operator.le),
)
"""Options of which torch takes only one order."""

_OVER_CHANNELS: dict[str, tuple[Any, Any]] = {
    "dim": (Literal[1], Field(default=1, description="the channels: other axes would need the whole file"))
}

_OPTIONS: dict[str, tuple[str, dict[str, tuple[Any, Any]]]] = {
    "relu": ("ReLU", {}),
    "relu6": ("ReLU6", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": (Number, 0.01)}),
    "prelu": ("PReLU", {"num_parameters": (Count, 1), "init": (Number, 0.25)}),
    "rrelu": ("RReLU", {"lower": (Number, 1 / 8), "upper": (Number, 1 / 3)}),
    "elu": ("ELU", {"alpha": (Number, 1.0)}),
    "celu": ("CELU", {"alpha": (Positive, 1.0)}),
    "selu": ("SELU", {}),
    "gelu": ("GELU", {"approximate": (Literal["none", "tanh"], "none")}),
    "silu": ("SiLU", {}),
    "mish": ("Mish", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "logsigmoid": ("LogSigmoid", {}),
    "softplus": ("Softplus", {"beta": (Positive, 1.0), "threshold": (Number, 20.0)}),
    "softsign": ("Softsign", {}),
    "hardtanh": ("Hardtanh", {"min_val": (Number, -1.0), "max_val": (Number, 1.0)}),
    "hardswish": ("Hardswish", {}),
    "hardsigmoid": ("Hardsigmoid", {}),
    "tanhshrink": ("Tanhshrink", {}),
    "hardshrink": ("Hardshrink", {"lambd": (NonNegative, 0.5)}),
    "softshrink": ("Softshrink", {"lambd": (NonNegative, 0.5)}),
    "threshold": ("Threshold", {"threshold": (Number, ...), "value": (Number, ...)}),
    "softmax": ("Softmax", _OVER_CHANNELS),
    "softmin": ("Softmin", _OVER_CHANNELS),
    "log_softmax": ("LogSoftmax", _OVER_CHANNELS),
    "glu": ("GLU", _OVER_CHANNELS),
    "identity": ("Identity", {}),
}


def _activation(name: str, torch_name: str, options: dict[str, tuple[Any, Any]]) -> type[Activation]:
    kind = create_model(torch_name, __base__=Activation, __module__=__name__, **options)  # type: ignore[call-overload]
    kind.name, kind.torch_name = name, torch_name
    kind.__doc__ = f"torch.nn.{torch_name}."
    return register(kind)


ACTIVATIONS: dict[str, type[Activation]] = {
    name: _activation(name, torch_name, options) for name, (torch_name, options) in _OPTIONS.items()
}
globals().update({kind.__name__: kind for kind in ACTIVATIONS.values()})  # pickle finds a class by its module
