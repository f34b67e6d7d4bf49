"""The activations: torch.nn's, by torch's names in lower case, with torch's options and defaults.

Softmax, log_softmax, softmin and glu work over the channels.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import create_model

from mediaconv.config.layer import LayerSpec
from mediaconv.config.values import Count, NonNegative, Number, Positive


class Activation(LayerSpec):
    """A function of each value, or of the channels of each position. `options` are torch's arguments."""

    torch_name: ClassVar[str]
    """The class in torch.nn."""


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
    "softmax": ("Softmax", {}),
    "softmin": ("Softmin", {}),
    "log_softmax": ("LogSoftmax", {}),
    "glu": ("GLU", {}),
    "identity": ("Identity", {}),
}


def _activation(name: str, torch_name: str, options: dict[str, tuple[Any, Any]]) -> type[Activation]:
    kind = create_model(torch_name, __base__=Activation, __module__=__name__, **options)  # type: ignore[call-overload]
    kind.name, kind.torch_name = name, torch_name
    kind.__doc__ = f"torch.nn.{torch_name}."
    return kind


ACTIVATIONS: dict[str, type[Activation]] = {
    name: _activation(name, torch_name, options) for name, (torch_name, options) in _OPTIONS.items()
}
globals().update({kind.__name__: kind for kind in ACTIVATIONS.values()})  # pickle finds a class by its module
