"""Layers and inputs made for a picture: small whole numbers, so that every product can be followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv import nn as layers
from mediaconv.errors import UsageError, not_one_of
from mediaconv.nn.geometry import per_axis
from mediaconv.nn.streaming.protocol import axis_map

KINDS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
CAUSAL = ("false", "true", "pad", "mask", "raster", "raster-A")
LENGTHS = {1: (10,), 2: (6, 6), 3: (4, 4, 4)}
"""Default input lengths by the number of axes."""

_DIGITS = "3141592653589793238462643383279502884197169399375105820974944592307816406286208998628034825"
_WEIGHTS = (1, 2, -1, 2, 3, 1, -2, 1, 2, -1, 1)


def demo_layer(
    kind: str,
    *,
    kernel_size: int | Sequence[int] = 3,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = "same",
    padding_mode: str = "zeros",
    groups: int = 1,
    in_channels: int | None = None,
    out_channels: int | None = None,
    bias: bool = False,
    causal: str = "false",
    time_axis: int = 0,
) -> nn.Module:
    """A float64 layer of that kind with small integer weights.

    kind: one of KINDS. causal: one of CAUSAL; "true" as in a configuration: raster in 2D, else pad.
    in_channels, out_channels: by default one for each of the groups. Other arguments as the layer takes them.
    Raises UsageError naming what does not go together.
    """
    if kind not in KINDS:
        raise UsageError(not_one_of("kind", kind, KINDS))
    if causal not in CAUSAL:
        raise UsageError(not_one_of("causal", causal, CAUSAL))
    for name, count in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
        if count is not None and count < 1:
            raise UsageError(f"{name}: got {count}, expected an integer >= 1")
    dims = int(kind[-2])
    if causal == "true":
        causal = "raster" if kind == "conv2d" else "pad"
    options: dict = {
        "stride": stride, "dilation": dilation, "padding": padding, "groups": groups, "bias": bias,
        "padding_mode": padding_mode,
    }  # fmt: skip
    if causal != "false":
        options |= causal_options(causal, time_axis, transposed="transpose" in kind)
    stem = "ConvTranspose" if kind.startswith("conv_transpose") else "Conv"
    name = f"{'' if causal == 'false' else 'Causal'}{stem}{dims}d"
    try:
        made = getattr(layers, name)(
            *_positive([groups if n is None else n for n in (in_channels, out_channels)], "channels"),
            _positive(per_axis(kernel_size, dims, "kernel_size"), "kernel_size"),
            **options,
            dtype=torch.float64,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"{kind}: {error}") from error
    fill_weights(made)
    return made


def _positive(numbers: Sequence[int], name: str) -> Sequence[int]:
    """torch would make an empty layer of a kernel of 0, with a warning."""
    if min(numbers) < 1:
        raise ValueError(f"{name}: got {', '.join(map(str, numbers))}, expected at least 1")
    return numbers


def numbers_of(text: str, dims: int, name: str) -> Tensor:
    """The float64 tensor of `dims` axes that a text spells: numbers, rows parted by `;`, frames by `/`.

    >>> numbers_of("1 2; 3 -4", 2, "kernel").tolist()
    [[1.0, 2.0], [3.0, -4.0]]
    """
    try:
        frames = [[[float(n) for n in row.split()] for row in f.split(";")] for f in text.split("/")]
        made = torch.tensor(frames, dtype=torch.float64)
    except (ValueError, TypeError):
        made = torch.zeros(0)
    if not made.numel() or not made.isfinite().all() or any(n > 1 for n in made.shape[: 3 - dims]):
        parts = (
            "numbers such as 1 2 -1",
            "rows of numbers such as 1 2; 3 4",
            "frames such as 1 2; 3 4 / 5 6; 7 8",
        )
        raise UsageError(f"{name}: got {text!r}, expected {parts[dims - 1]}")
    return made.reshape(made.shape[3 - dims :])


def set_kernel(layer: nn.Module, kernel: Tensor) -> None:
    """Give every kernel of a layer the same values."""
    with torch.no_grad():
        layer.weight.copy_(kernel.expand_as(layer.weight))  # type: ignore


def demo_lengths(layer: nn.Module) -> tuple[int, ...]:
    """LENGTHS for a convolution, longer along an axis where it would give no output."""
    lengths = LENGTHS[len(layer.kernel_size)]  # type: ignore[arg-type]
    maps = [axis_map(layer, axis) for axis in range(len(lengths))]
    return tuple(
        n if m.output_length(n) else int(m.receptive_field) for m, n in zip(maps, lengths, strict=True)
    )


def causal_options(causal: str, time_axis: int, *, transposed: bool) -> dict[str, object]:
    """The causal layer's arguments for one of CAUSAL, "false" excepted."""
    mode, _, raster_type = causal.partition("-")
    if transposed and mode != "pad":
        raise UsageError(f"causal: got {causal!r}, expected false or pad for a transposed layer")
    if transposed:
        return {"time_axis": time_axis}
    if mode == "raster":
        return {"mode": mode, "raster_type": raster_type or "B"}
    return {"mode": mode, "time_axis": time_axis}


def fill_weights(layer: nn.Module) -> None:
    """Set a layer's weights to small integers, the same for a standard and a causal layer of one shape."""
    with torch.no_grad():
        for name, values in (("weight", layer.weight), ("bias", layer.bias)):
            if isinstance(values, Tensor):
                shift = 3 if name == "bias" else 0
                cycle = [float(_WEIGHTS[(i + shift) % len(_WEIGHTS)]) for i in range(values.numel())]
                values.copy_(torch.tensor(cycle, dtype=values.dtype).reshape(values.shape))


def demo_input(channels: int, lengths: Sequence[int]) -> Tensor:
    """Digits as input: (C, ...) float64 in 1 to 9 for sound, else 1 to 4; zeros are padding alone."""
    count = channels * int(torch.tensor(list(lengths)).prod())
    digits = [int(_DIGITS[i % len(_DIGITS)]) for i in range(count)]
    top = 9 if len(lengths) == 1 else 4
    return torch.tensor([float((d - 1) % top + 1) for d in digits], dtype=torch.float64).reshape(
        channels, *lengths
    )


def layer_like(layer: nn.Module, name: str, **options: Any) -> nn.Module:
    """A layer of the class `name` with another one's arguments. Raises ValueError, TypeError."""
    return getattr(layers, name)(  # type: ignore[no-any-return]
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias is not None,
        padding_mode=layer.padding_mode,
        dtype=torch.float64,
        **options,
    )


def standard_counterpart(layer: nn.Module) -> nn.Module:
    """The standard layer with a causal layer's arguments and demo weights: what to draw beside it."""
    standard = layer_like(layer, type(layer).__name__.removeprefix("Causal"), padding="same")
    fill_weights(standard)
    return standard
