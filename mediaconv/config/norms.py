"""The normalization layers, and dropout, which does nothing in a run."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mediaconv.config.layer import LayerSpec
from mediaconv.config.problems import Problem
from mediaconv.config.setting import Setting
from mediaconv.config.values import Count, Flag, Positive, Share


class _Norm(LayerSpec):
    eps: Positive = Field(default=1e-5, description="added to the variance")
    affine: Flag = Field(default=True, description="whether there is a weight and a bias per channel")


class BatchNorm(_Norm):
    """torch's BatchNormNd in evaluation: stored mean and variance per channel."""

    name: ClassVar[str] = "batch_norm"


class LayerNorm(_Norm):
    """Mean 0 and variance 1 over the channels of each position."""

    name: ClassVar[str] = "layer_norm"


class RmsNorm(_Norm):
    """Root mean square 1 over the channels of each position."""

    name: ClassVar[str] = "rms_norm"
    eps: Positive | None = Field(  # type: ignore[assignment]
        default=None,
        description="added to the mean square; default: the smallest step of the type, as torch's",
    )


class _PoolingNorm(_Norm):
    """A norm that takes its mean over all positions: it needs the whole file."""

    def problems(self, setting: Setting) -> list[Problem]:
        if not setting.causal:
            return []
        reason = (
            "it takes its mean over the whole file, the future too; use layer_norm, rms_norm or batch_norm"
        )
        return [Problem((), f"got {self.name} in a causal stack: {reason}")]


class GroupNorm(_PoolingNorm):
    """Mean 0 and variance 1 over each group of channels and all positions."""

    name: ClassVar[str] = "group_norm"
    num_groups: Count = Field(description="number of groups")


class InstanceNorm(_PoolingNorm):
    """Mean 0 and variance 1 over all positions of each channel."""

    name: ClassVar[str] = "instance_norm"
    affine: Flag = Field(default=False, description="whether there is a weight and a bias per channel")


class Dropout(LayerSpec):
    """The identity in a run; there so that a model's keys keep their numbers."""

    name: ClassVar[str] = "dropout"
    p: Share = Field(default=0.5, description="share of values dropped in training")
