"""The names under a convolution's `init`: torch.nn.init's, without the underscore at the end.

Those that torch defines for matrices alone (eye, sparse) are not among them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from mediaconv.config.section import Named, named
from mediaconv.config.values import Count, NonNegative, Number


class Initializer(Named):
    """How the weights of a layer are drawn; its options are the arguments of torch's function."""


_NONLINEARITIES = Literal[
    "leaky_relu", "relu", "linear", "sigmoid", "tanh", "selu", "conv1d", "conv2d", "conv3d"
]
_MEAN_AND_STD: dict[str, tuple[Any, Any]] = {"mean": (Number, 0.0), "std": (NonNegative, 1.0)}
_GAIN: dict[str, tuple[Any, Any]] = {"gain": (Number, 1.0)}
_KAIMING: dict[str, tuple[Any, Any]] = {
    "a": (Number, Field(default=0.0, description="negative slope of the leaky ReLU that follows")),
    "mode": (Literal["fan_in", "fan_out"], "fan_in"),
    "nonlinearity": (_NONLINEARITIES, "leaky_relu"),
}
_OPTIONS: dict[str, tuple[str, dict[str, tuple[Any, Any]]]] = {
    "uniform": ("Uniform in [a, b].", {"a": (Number, 0.0), "b": (Number, 1.0)}),
    "normal": ("Normal with this mean and standard deviation.", _MEAN_AND_STD),
    "trunc_normal": (
        "Normal, drawn again outside [a, b].",
        {**_MEAN_AND_STD, "a": (Number, -2.0), "b": (Number, 2.0)},
    ),
    "constant": (
        "One value everywhere.",
        {"val": (Number, Field(description="the value of every weight"))},
    ),
    "ones": ("1 everywhere.", {}),
    "zeros": ("0 everywhere.", {}),
    "dirac": ("Passes the input channels on.", {"groups": (Count, 1)}),
    "xavier_uniform": ("Glorot and Bengio 2010, uniform.", _GAIN),
    "xavier_normal": ("Glorot and Bengio 2010, normal.", _GAIN),
    "kaiming_uniform": ("He et al. 2015, uniform.", _KAIMING),
    "kaiming_normal": ("He et al. 2015, normal.", _KAIMING),
    "orthogonal": ("Saxe et al. 2013.", _GAIN),
}
"""What each is, and its options: type and default."""


def _initializer(name: str, about: str, options: dict[str, tuple[Any, Any]]) -> type[Initializer]:
    title = name.title().replace("_", "")
    kind = create_model(title, __base__=Initializer, __module__=__name__, **options)  # type: ignore[call-overload]
    kind.name, kind.__doc__ = name, about
    return kind


INITIALIZERS: dict[str, type[Initializer]] = {
    name: _initializer(name, about, options) for name, (about, options) in _OPTIONS.items()
}
globals().update(
    {kind.__name__: kind for kind in INITIALIZERS.values()}
)  # pickle finds a class by its module
InitializerField = Annotated[Initializer, named(INITIALIZERS, "initializer")]
