"""Which torch call computes a convolution: the one place that chooses, for speed and for equal results.

On a CPU torch chooses a library by the input's size, so that a short chunk is not computed as the whole is:
a conv3d of few frames takes many times as long, a long sum differs by more than 1e-6 allows. Here the choice
does not depend on the length wherever that would show. On other devices, and under `torch.compile`,
`torch.export` and `torch.onnx`, it is torch's. Windows, padding modes and state are not known here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mediaconv.nn.backends.continued_film import continued_conv3d
from mediaconv.nn.backends.counted_products import register_when_counted
from mediaconv.nn.backends.large_pages import empty
from mediaconv.nn.backends.memory_layout import join, memory_format
from mediaconv.nn.backends.phased_sound import LEAST_OUTPUTS, MOST_CHANNELS, phased_conv1d

FRAME = 32 * 32
"""Pixels below which a frame is too small for banding and folding to pay."""
FEW_CHANNELS = 4
"""Input channels up to which banding and folding win at any depth."""
FEW_PRODUCTS = 112
"""Products in an output up to which banding and packing, which add in another order, stay within 1e-6."""
MANY_PRODUCTS = 192
"""Products in an output above which any two libraries may differ by 1e-6: by 1.2e-6 at 256."""
BAND_BYTES = 2**22
"""Size of a band of rows and its result, which a processor's cache holds."""
LEAST_ROWS = 4
"""Rows below which a band reads too much twice."""
SLOW_BELOW = 20480
"""Size of the input up to which torch does without oneDNN: batch x channels x the first two axes."""


register_when_counted()


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    *,
    packs: bool = False,
    before: Tensor | None = None,
) -> Tensor:
    """Convolution with torch's arguments, in one, two or three dimensions.

    packs: sound may come out packed (mediaconv.nn.backends.memory_layout), as it then is for the next layer.
    before: frames that come before those of `x`, not joined with them; `padding` has none in time then.
    """
    products = math.prod(weight.shape[1:])
    if before is not None:
        fits = before.shape[2] and is_ours(x, weight, groups) and not is_recorded(x, before, weight, bias)
        if fits and _banding_pays(x, products):
            if memory_format(x) == torch.channels_last_3d:
                return continued_conv3d(before, x, weight, bias, stride, padding, dilation, groups)
            return banded_conv3d(x, weight, bias, stride, padding, dilation, groups, before)
        if fits and _folding_pays(x):
            return folded_conv3d(x, weight, bias, stride, padding, dilation, groups, before)
        x = join((before, x), 2) if before.shape[2] else x
    if (
        x.ndim == 3
        and products <= FEW_PRODUCTS
        and _phases_pay(x, weight, bias, stride, padding, dilation, groups)
    ):
        return phased_conv1d(x, weight, bias)
    packs = packs and x.ndim == 3 and x.numel() > SLOW_BELOW and products <= FEW_PRODUCTS
    choice = packs or products > MANY_PRODUCTS or x.ndim == 5 or dilation[0] > 1
    if choice and is_ours(x, weight, groups):
        if x.ndim == 5 and _banding_pays(x, products) and not is_recorded(x, weight, bias):
            return banded_conv3d(x, weight, bias, stride, padding, dilation, groups)
        if x.ndim == 5 and _folding_pays(x):
            if padding[0]:
                x, padding = F.pad(x, (0, 0, 0, 0, padding[0], padding[0])), (0, *padding[1:])
            return folded_conv3d(x, weight, bias, stride, padding, dilation, groups)
        if x.ndim == 3 and groups == 1 and not padding[0] and _columns_pay(x, products):
            return column_conv1d(x, weight, bias, stride[0], dilation[0])
        if packs and groups == 1 and not padding[0] and onednn_takes(x):
            return packed_conv1d(x, weight, bias, stride[0], dilation[0])
        if (x.ndim == 5 or products > MANY_PRODUCTS) and onednn_takes(x):
            return torch.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)
    conv = (F.conv1d, F.conv2d, F.conv3d)[weight.ndim - 3]
    return conv(x, weight, bias, stride, padding, dilation, groups)


def is_ours(x: Tensor, weight: Tensor, groups: int) -> bool:
    """Whether it is ours to choose; shapes that do not fit are left to torch and its messages."""
    return (
        x.is_cpu
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and x.ndim == weight.ndim
        and x.shape[1] == weight.shape[1] * groups
        and x.dtype == weight.dtype
        and x.numel() > 0
    )


def onednn_takes(x: Tensor) -> bool:
    """Whether torch would give a long input like this one to oneDNN."""
    return (
        x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
    )


def is_recorded(*tensors: Tensor | None) -> bool:
    """Whether autograd follows what is done with any of these."""
    return torch.is_grad_enabled() and any(v is not None and v.requires_grad for v in tensors)


def _banding_pays(x: Tensor, products: int) -> bool:
    few = x.shape[1] <= FEW_CHANNELS and products <= FEW_PRODUCTS
    return few and x.shape[3] * x.shape[4] >= FRAME and onednn_takes(x)


def _folding_pays(x: Tensor) -> bool:
    n, c, t, h, w = x.shape
    return h * w >= FRAME and not onednn_takes(x) and (c <= FEW_CHANNELS or n * c * t * h <= SLOW_BELOW)


def _phases_pay(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> bool:
    plain = weight.shape[0] <= MOST_CHANNELS and weight.shape[2] > 1 and groups == 1
    return (
        plain
        and x.shape[2] >= LEAST_OUTPUTS + weight.shape[2]
        and (stride[0], padding[0], dilation[0]) == (1, 0, 1)
        and is_ours(x, weight, groups)
        and onednn_takes(x)
        and not is_recorded(x, weight, bias)
        and math.isfinite(float(x.sum()))  # times a weight of zero NaN and infinity would reach neighbours
    )


def _columns_pay(x: Tensor, products: int) -> bool:
    short = x.numel() <= SLOW_BELOW and products <= MANY_PRODUCTS
    return short and x.dtype in (torch.float32, torch.float64)


def column_conv1d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, dilation: int) -> Tensor:
    """conv1d without padding or groups, as one product of matrices.

    torch has no quick path for a short dilated input: at 32 channels and 256 samples, 79 us against 30.
    """
    n, c, _ = x.shape
    k = weight.shape[2]
    if is_recorded(x):
        columns = x.unfold(2, (k - 1) * dilation + 1, stride)[..., ::dilation].transpose(2, 3)
    else:  # the same view in one call
        count = (x.shape[2] - (k - 1) * dilation - 1) // stride + 1
        item, channel, sample = x.stride()
        columns = x.as_strided((n, c, k, count), (item, channel, sample * dilation, sample * stride))
    columns = columns.reshape(n, c * k, -1)
    flat = weight.flatten(1)
    if bias is None:
        return torch.matmul(flat, columns)
    return torch.baddbmm(bias.unsqueeze(1), flat.expand(n, -1, -1), columns)


def packed_conv1d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, dilation: int) -> Tensor:
    """conv1d without padding or groups, from packed sound to packed sound: oneDNN's quicker half.

    A stack of 32 channels in chunks of 4,096 takes a fifth less on two threads, on one about the same.
    """
    image = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    flat = weight.unsqueeze(2)
    return torch.mkldnn_convolution(image, flat, bias, (0, 0), (1, stride), (1, dilation), 1).squeeze(2)


def folded_conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    before: Tensor | None = None,
) -> Tensor:
    """conv3d without padding in time, as one conv2d for each output frame over its input frames as channels.

    before: frames that come before those of `x`. Quicker than torch's own conv3d of few channels or short
    input. The output has the input's memory format.
    """
    n, c, t, h, w = x.shape
    depth, step = weight.shape[2], dilation[0]
    reach = (depth - 1) * step + 1
    flat = weight.flatten(1, 2).contiguous(memory_format=torch.channels_last)
    arguments = (flat, bias, stride[1:], padding[1:], dilation[1:], groups)
    earlier = 0 if before is None else before.shape[2]
    starts = range(0, earlier + t - reach + 1, stride[0])
    if is_recorded(x, weight, bias):
        windows = (x[:, :, s : s + reach : step] for s in starts)
        packed = (v.reshape(n, -1, h, w).contiguous(memory_format=torch.channels_last) for v in windows)
        return torch.stack([F.conv2d(v, *arguments) for v in packed], 2)
    # one buffer for all windows and one place for all frames: fresh memory costs as much as the sums
    buffer = torch.empty((n, c * depth, h, w), dtype=x.dtype, memory_format=torch.channels_last)
    frames = buffer.unflatten(1, (c, depth))

    def frame(start: int) -> Tensor:
        held = len(range(start, min(earlier, start + reach), step))
        if before is not None and held:
            frames[:, :, :held] = before[:, :, start : start + reach : step]
        if held < depth:
            later = start + held * step - earlier
            frames[:, :, held:] = x[:, :, later : later + (depth - held - 1) * step + 1 : step]
        return F.conv2d(buffer, *arguments)

    first = frame(0)
    shape = (n, first.shape[1], len(starts), *first.shape[2:])
    y = empty(shape, first.dtype, memory_format(x))
    y[:, :, 0] = first
    for j, start in enumerate(starts[1:], 1):
        y[:, :, j] = frame(start)
    return y


def banded_conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    before: Tensor | None = None,
) -> Tensor:
    """conv3d by oneDNN's quicker half, channels last, in bands of rows.

    A band and its result fit in the cache, so that changes of layout cost little, and the whole result lies
    in large pages or in memory used before: less time than torch's conv3d takes. before: frames that come
    before those of `x`; they are joined band by band. Film that is channels last and has none before it is
    computed at once, with the same bits. The output has the input's memory format.
    """
    n, c, t, h, w = x.shape
    parts = [part for part in (before, x) if part is not None]
    t = sum(part.shape[2] for part in parts)
    frames, rows, columns = (
        (size + 2 * p - (k - 1) * d - 1) // s + 1
        for size, p, k, d, s in zip((t, h, w), padding, weight.shape[2:], dilation, stride, strict=True)
    )
    weight = weight.contiguous(memory_format=torch.channels_last_3d)
    layout = memory_format(x)
    if layout == torch.channels_last_3d and before is None:  # its layout stays: bands would save nothing
        return torch.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)
    y = empty((n, weight.shape[0], frames, rows, columns), x.dtype, layout)
    row_bytes = n * (c * t * w * stride[1] + weight.shape[0] * frames * columns) * x.element_size()
    band = max(LEAST_ROWS, BAND_BYTES // row_bytes)
    arguments = (weight, bias, (padding[0], 0, padding[2]), stride, dilation, groups)
    buffer = x.new_empty(0)
    for first in range(0, rows, band):
        after = min(rows, first + band)
        top = first * stride[1] - padding[1]
        bottom = (after - 1) * stride[1] - padding[1] + (weight.shape[3] - 1) * dilation[1] + 1
        if buffer.shape[3:4] != (bottom - top,):
            shape = (n, c, t, bottom - top, w)
            buffer = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last_3d)
        _copy_rows(buffer, parts, top, bottom)
        y[:, :, :, first:after] = torch.mkldnn_convolution(buffer, *arguments)
    return y


def _copy_rows(rows: Tensor, parts: Sequence[Tensor], top: int, bottom: int) -> None:
    """Rows of film, its parts one after the other in time; zeros for those that lie outside."""
    height = parts[0].shape[3]
    first, after = min(max(0, top), height), max(0, min(height, bottom))
    rows[:, :, :, : max(0, first - top)] = 0
    rows[:, :, :, max(0, after - top) :] = 0
    time = 0
    for part in parts:
        later = time + part.shape[2]
        if first < after:
            rows[:, :, time:later, first - top : after - top] = part[:, :, :, first:after]
        time = later
