"""Dropout, which does nothing in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mediaconv.config.values import Share
from mediaconv.layers.layer_spec import BuildContext, LayerSpec
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


@register
class Dropout(LayerSpec):
    """The identity in a run; there so that a model's keys keep their numbers."""

    name: ClassVar[str] = "dropout"
    p: Share = Field(default=0.5, description="share of values dropped in training")

    def build(self, context: BuildContext) -> nn.Module:
        from torch import nn

        return nn.Dropout(self.p)
