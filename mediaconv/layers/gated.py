"""WaveNet's gate, alone or behind a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from mediaconv.config.problems import Problem
from mediaconv.config.validation_context import ValidationContext
from mediaconv.layers.convolution import ConvKeys
from mediaconv.layers.layer_spec import BuildContext
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


@register
class Gated(ConvKeys):
    """WaveNet's gate tanh(a) * sigmoid(b): of the channels' two halves, or of a convolution's two outputs."""

    name: ClassVar[str] = "gated"

    def _required(self, unless: str = "weight") -> list[Problem]:
        fields = {k: f for k, f in type(self).model_fields.items() if k not in ("causal", "time_axis")}
        bare = all(getattr(self, key) == field.get_default() for key, field in fields.items())
        return [] if bare else super()._required(unless)

    def problems(self, context: ValidationContext) -> list[Problem]:
        problems = super().problems(context)
        if self.weight is not None:
            text = "is given: the two convolutions of a gate take their numbers from weights or init"
            return [*problems, Problem(("weight",), text)]
        return problems

    def build(self, context: BuildContext) -> nn.Module:
        from mediaconv import nn as streaming

        if self.out_channels is None:
            return streaming.Gate()
        doubled = self.arguments(context) | {"out_channels": 2 * self.out_channels}
        return streaming.Gated(self.convolution(context, **doubled))

    def weight_count(self, context: BuildContext) -> int:
        return 2 * super().weight_count(context)

    def set_weights(self, module: Any, *, name: str, seed: int, rate_hz: float | None) -> None:
        if self.out_channels is not None:
            super().set_weights(module.conv, name=f"{name}.conv", seed=seed, rate_hz=rate_hz)
