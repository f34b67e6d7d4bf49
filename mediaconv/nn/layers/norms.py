"""Normalisation: over channels or by fixed statistics, which streams, and over time, which needs the end.

Layers that pool over time (group, instance) hold every chunk and answer at the end: their latency is
`math.inf`, and a causal stack refuses them (`noncausal_layers` names them). A group norm of
each frame by itself streams.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.counted import counted
from mediaconv.nn.composed_maps import IDENTITY, Whole
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import Pointwise, TotalStride
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.window import step_whole


class _PoolsOverTime(TotalStride):
    """What layers whose statistics span the stream axis share."""

    def _by_fixed_statistics(self) -> bool:
        """Whether nothing is pooled from the input."""
        return False

    def axis_map(self, axis: int) -> AxisMap:
        return IDENTITY if self._by_fixed_statistics() else Whole(IDENTITY)

    def init_state(self, axis: int) -> State:
        return State()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        if self._by_fixed_statistics():
            return self(x)  # type: ignore[operator]
        y = step_whole(x, state, self, axis=axis, last=last)  # type: ignore[arg-type]
        return x.narrow(axis + 2, 0, 0) if y is None else y


class _BatchNorm(_PoolsOverTime, nn.modules.batchnorm._BatchNorm):
    """Batch normalisation streams in eval mode with running statistics; else it pools over the batch."""

    def _by_fixed_statistics(self) -> bool:
        return not self.training and self.running_mean is not None

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        if self.training:
            raise ValueError(
                f"{type(self).__name__} in training mode normalises by the whole batch and cannot stream: "
                "call .eval() on the model first"
            )
        return super().step(x, state, axis=axis, last=last)


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    """torch.nn.BatchNorm1d; streams in eval mode. Shape: (N, C, T) to the same."""

    dims = 1


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    """torch.nn.BatchNorm2d; streams in eval mode. Shape: (N, C, H, W) to the same."""

    dims = 2


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    """torch.nn.BatchNorm3d; streams in eval mode. Shape: (N, C, T, H, W) to the same."""

    dims = 3


class GroupNorm(_PoolsOverTime, nn.GroupNorm):
    """torch.nn.GroupNorm: pools over time, so a stream answers at the end. Shape: (N, C, ...) to the same."""


class FrameGroupNorm(_PoolsOverTime, nn.GroupNorm):
    """Group normalisation of each frame by itself, as in causal video autoencoders: it streams along time.

    Arguments and keys as torch.nn.GroupNorm; time_axis: counted after the channels, each of its positions is
    a frame. Shape: (N, C, ...) to the same.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        time_axis: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_groups, num_channels, eps, affine, device, dtype)
        self.time_axis = time_axis

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to the same."""
        if not x.numel():
            return x
        frames = x.movedim(self.time_axis + 2, 1)
        # not F.group_norm, which refuses one value a group; of sound a frame may be one
        y = torch.group_norm(frames.flatten(0, 1), self.num_groups, self.weight, self.bias, self.eps)
        return y.unflatten(0, frames.shape[:2]).movedim(1, self.time_axis + 2)

    def axis_map(self, axis: int) -> AxisMap:
        return IDENTITY if axis == self.time_axis else Whole(IDENTITY)

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        return self(x) if axis == self.time_axis else super().step(x, state, axis=axis, last=last)


class _InstanceNorm(_PoolsOverTime, nn.modules.instancenorm._InstanceNorm):
    def _by_fixed_statistics(self) -> bool:
        return not self.training and self.track_running_stats


class InstanceNorm1d(_InstanceNorm, nn.InstanceNorm1d):
    """torch.nn.InstanceNorm1d: pools over time (unless it tracks statistics and is in eval mode), so a
    stream answers at the end. Shape: (N, C, T) to the same."""

    dims = 1


class InstanceNorm2d(_InstanceNorm, nn.InstanceNorm2d):
    """torch.nn.InstanceNorm2d: pools over rows and columns, as `InstanceNorm1d` over time.
    Shape: (N, C, H, W) to the same."""

    dims = 2


class InstanceNorm3d(_InstanceNorm, nn.InstanceNorm3d):
    """torch.nn.InstanceNorm3d: pools over time, rows and columns, as `InstanceNorm1d` over time.
    Shape: (N, C, T, H, W) to the same."""

    dims = 3


class _OverChannels(Pointwise, nn.Module):
    eps: float | None

    def __init__(
        self,
        num_channels: int,
        affine: bool,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.num_channels = num_channels
        kind = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.ones(num_channels, **kind)) if affine else None  # type: ignore[arg-type]
        self.bias = (
            nn.Parameter(torch.zeros(num_channels, **kind)) if affine and bias else None  # type: ignore[arg-type]
        )

    def output_channels(self, channels: int) -> int:
        if channels != self.num_channels:
            raise ValueError(f"got {counted(channels, 'channel')}, this layer takes {self.num_channels}")
        return channels

    def _spelled(self, x: Tensor, eps: float) -> Tensor:
        """Over its root mean square, in elementary operations: ONNX has norms over the last axis only."""
        shape = (-1, *[1] * (x.ndim - 2))
        y = x / ((x * x).mean(1, keepdim=True) + eps).sqrt()
        y = y if self.weight is None else y * self.weight.reshape(shape)
        return y if self.bias is None else y + self.bias.reshape(shape)

    def extra_repr(self) -> str:
        return f"{self.num_channels}, eps={self.eps}"


class ChannelLayerNorm(_OverChannels):
    """Layer normalisation over the channels of each position (ConvNeXt's channels-first LayerNorm).

    Arguments: num_channels, eps (as in torch.nn.LayerNorm), affine, bias. Keys "weight", "bias", each (C,).

    Shape: (N, C, ...) to the same.
    """

    eps: float

    def __init__(
        self,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_channels, affine, bias, device, dtype)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to the same."""
        if torch.onnx.is_in_onnx_export():
            return self._spelled(x - x.mean(1, keepdim=True), self.eps)
        shape = (self.num_channels,)
        return F.layer_norm(x.movedim(1, -1), shape, self.weight, self.bias, self.eps).movedim(-1, 1)


class RMSNorm(_OverChannels):
    """Root mean square normalisation over the channels of each position (Zhang and Sennrich 2019).

    Arguments: num_channels, eps (None: the smallest step of the type, as in torch.nn.RMSNorm), affine. Key
    "weight", (C,).

    Shape: (N, C, ...) to the same.
    """

    def __init__(
        self,
        num_channels: int,
        eps: float | None = None,
        affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_channels, affine, False, device, dtype)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to the same."""
        if torch.onnx.is_in_onnx_export():
            return self._spelled(x, torch.finfo(x.dtype).eps if self.eps is None else self.eps)
        return F.rms_norm(x.movedim(1, -1), (self.num_channels,), self.weight, self.eps).movedim(-1, 1)
