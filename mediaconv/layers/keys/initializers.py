"""The names under a convolution's `init`: torch.nn.init's, without the underscore at the end.

Those that torch defines for matrices alone (eye, sparse) are not among them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mediaconv.config.section import Named, named, registry
from mediaconv.config.values import Count, NonNegative, Number


class Initializer(Named):
    """How the weights of a layer are drawn; its options are the arguments of torch's function."""


class Uniform(Initializer):
    """Uniform in [a, b]."""

    name: ClassVar[str] = "uniform"
    a: Number = 0.0
    b: Number = 1.0


class Normal(Initializer):
    """Normal with this mean and standard deviation."""

    name: ClassVar[str] = "normal"
    mean: Number = 0.0
    std: NonNegative = 1.0


class TruncNormal(Initializer):
    """Normal, drawn again outside [a, b]."""

    name: ClassVar[str] = "trunc_normal"
    mean: Number = 0.0
    std: NonNegative = 1.0
    a: Number = -2.0
    b: Number = 2.0


class Constant(Initializer):
    """One value everywhere."""

    name: ClassVar[str] = "constant"
    val: Number = Field(description="the value of every weight")


class Ones(Initializer):
    """1 everywhere."""

    name: ClassVar[str] = "ones"


class Zeros(Initializer):
    """0 everywhere."""

    name: ClassVar[str] = "zeros"


class Dirac(Initializer):
    """Passes the input channels on."""

    name: ClassVar[str] = "dirac"
    groups: Count = 1


class XavierUniform(Initializer):
    """Glorot and Bengio 2010, uniform."""

    name: ClassVar[str] = "xavier_uniform"
    gain: Number = 1.0


class XavierNormal(Initializer):
    """Glorot and Bengio 2010, normal."""

    name: ClassVar[str] = "xavier_normal"
    gain: Number = 1.0


class _Kaiming(Initializer):
    a: Number = Field(default=0.0, description="negative slope of the leaky ReLU that follows")
    mode: Literal["fan_in", "fan_out"] = "fan_in"
    nonlinearity: Literal[
        "leaky_relu", "relu", "linear", "sigmoid", "tanh", "selu", "conv1d", "conv2d", "conv3d"
    ] = "leaky_relu"


class KaimingUniform(_Kaiming):
    """He et al. 2015, uniform."""

    name: ClassVar[str] = "kaiming_uniform"


class KaimingNormal(_Kaiming):
    """He et al. 2015, normal."""

    name: ClassVar[str] = "kaiming_normal"


class Orthogonal(Initializer):
    """Saxe et al. 2013."""

    name: ClassVar[str] = "orthogonal"
    gain: Number = 1.0


INITIALIZERS: dict[str, type[Initializer]] = registry(
    Uniform,
    Normal,
    TruncNormal,
    Constant,
    Ones,
    Zeros,
    Dirac,
    XavierUniform,
    XavierNormal,
    KaimingUniform,
    KaimingNormal,
    Orthogonal,
)
InitializerField = Annotated[Initializer, named(INITIALIZERS, "initializer")]
