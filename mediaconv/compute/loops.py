"""Compiled loops for few-channel convolution on a CPU: raw rows in, activated or quantized rows out.

One function, `conv_band`, does a layer over a band of output rows: it turns input rows into padded float32
lines that stay in the cache, adds up all taps of an output in registers and finishes each row (activation,
normalizing, rounding) while it is still there. It knows nothing of modules, streams or threads
(`mediaconv.compute.fused`).

Every output element is `bias + tap + tap + ...` by fused multiply-add in one fixed order, wherever it lies
in a row, a band or a chunk: results do not depend on how the work is divided.

They are called through mediaconv.compute.native, which keeps their machine code on disk.
"""

from __future__ import annotations

import numpy as np

from mediaconv.compute.kernel_types import (
    AFFINE,
    CLAMP,
    GELU,
    GELU_TANH,
    LEAKY_RELU,
    SIGMOID,
    SILU,
    TANH,
)
from mediaconv.compute.simd import (
    WIDTH_1,
    WIDTH_2,
    WIDTH_4,
    as_bits,
    compiled,
    exp,
    normal_cdf,
    rint,
    tanh,
    tile_1,
    tile_2,
    tile_4,
)

__all__ = ["conv_band", "finish"]

ONE, HALF = np.float32(1), np.float32(0.5)
GELU_SCALE, GELU_CUBE = np.float32(0.79788456), np.float32(0.044715)
SLAB = 4096
"""Values finished at a time: they stay in the first-level cache."""


@compiled
def _apply(row, n, code, a, b, c):  # type: ignore[no-untyped-def]
    """Apply one function to row[:n] in place. Parameters: CLAMP to a ... b, LEAKY_RELU with slope a,
    AFFINE (v - a) * b + c."""
    zero = np.float32(0)
    if code == AFFINE:
        for x in range(n):
            row[x] = (row[x] - a) * b + c
    elif code == CLAMP:
        for x in range(n):
            v = row[x]
            v = a if v < a else v
            row[x] = b if v > b else v
    elif code == LEAKY_RELU:
        for x in range(n):
            row[x] = row[x] * a if row[x] < zero else row[x]
    elif code == SIGMOID:
        for x in range(n):
            row[x] = ONE / (ONE + exp(-row[x]))
    elif code == TANH:
        for x in range(n):
            row[x] = tanh(row[x])
    elif code == SILU:
        for x in range(n):
            row[x] = row[x] / (ONE + exp(-row[x]))
    elif code == GELU:
        for x in range(n):
            row[x] = row[x] * normal_cdf(row[x])
    elif code == GELU_TANH:
        for x in range(n):
            v = row[x]
            row[x] = HALF * v * (ONE + tanh(GELU_SCALE * (v + GELU_CUBE * v * v * v)))


@compiled
def _finite(row, n):  # type: ignore[no-untyped-def]
    """Whether row[:n] holds no NaN and no infinity: by bits, which vectorises."""
    most = np.int32(0)
    for x in range(n):
        bits = as_bits(row[x]) & np.int32(0x7FFFFFFF)
        most = bits if bits > most else most
    return most < np.int32(0x7F800000)


@compiled
def _store(row, n, out, base, quantum):  # type: ignore[no-untyped-def]
    """out[base:base+n] = row[:n], rounded as `quantum` says, in float64; how many were clipped."""
    if quantum.scale == 0:
        for x in range(n):
            out[base + x] = row[x]
        return 0
    clipped = np.int32(0)
    for x in range(n):
        v = np.float64(row[x]) * quantum.scale
        clipped += np.int32((v < quantum.below) | (v > quantum.above))
        v = rint(v)
        v = quantum.low if v < quantum.low else v
        v = quantum.high if v > quantum.high else v
        out[base + x] = np.int32(v)
    return clipped


@compiled
def finish(values, functions, parameters, quantum, out):  # type: ignore[no-untyped-def]
    """Flat values through `functions` (overwritten) and rounded into `out`; as conv_band does it to a row.

    Returns (all values were finite, number of clipped values).
    """
    finite, clipped = True, 0
    for begin in range(0, values.shape[0], SLAB):
        row = values[begin : begin + SLAB]
        finite &= _finite(row, row.shape[0])
        for i in range(functions.shape[0]):
            p = parameters[i]
            _apply(row, row.shape[0], functions[i], p[0], p[1], p[2])
        clipped += _store(row, row.shape[0], out, begin, quantum)
    return finite, clipped


@compiled
def _split_3(row, a, b, c, n, scale):  # type: ignore[no-untyped-def]
    """Three channels side by side into three lines: in one loop, which vectorises."""
    for x in range(n):
        a[x] = np.float32(row[3 * x]) / scale
        b[x] = np.float32(row[3 * x + 1]) / scale
        c[x] = np.float32(row[3 * x + 2]) / scale


@compiled
def _divide(row, line, scale):  # type: ignore[no-untyped-def]
    for x in range(row.shape[0]):
        line[x] = np.float32(row[x]) / scale


@compiled
def _load_row(row, lines, base, between, layer, scale):  # type: ignore[no-untyped-def]
    """One input row, divided by `scale`, into a line for each channel, `between` apart.

    Column x goes to phase (x + left) % stride_x, so that what neighbouring outputs read lies side by side.
    """
    shift, stride, channels, width = layer.left, layer.stride_x, layer.channels, layer.width
    first = max(0, -shift)
    last = min(width, (layer.out_width - 1) * stride + layer.extent_x - shift)
    n = last - first
    if stride == 1 and layer.interleaved and channels == 3:
        a = base + first + shift
        b, c = a + between, a + 2 * between
        _split_3(row[3 * first :], lines[a : a + n], lines[b : b + n], lines[c : c + n], n, scale)
        return
    for c in range(channels):
        line = lines[base + c * between : base + c * between + stride * layer.phase]
        step, start = (channels, c) if layer.interleaved else (1, c * width)
        if stride > 1:
            for x in range(first, last):
                q = x + shift
                line[(q % stride) * layer.phase + q // stride] = np.float32(row[x * step + start]) / scale
        elif step == 1:
            _divide(row[start + first : start + last], line[first + shift : last + shift], scale)
        else:
            for x in range(first, last):
                line[x + shift] = np.float32(row[x * step + start]) / scale


@compiled
def _load_rows(source, ring, first, used, frames, y, slot, lines, layer, scale):  # type: ignore[no-untyped-def]
    """Row y of `frames` frames from `first` on into their lines; rows and frames outside are zero."""
    begin, count = ring
    length = layer.stride_x * layer.phase
    between = layer.extent_y * length
    for f in range(frames):
        if not used[f]:
            continue
        base = f * layer.channels * between + slot * length
        t = first + f
        if 0 <= t < count and 0 <= y < layer.height:
            _load_row(source[(begin + t) % source.shape[0], y], lines, base, between, layer, scale)
        else:
            for c in range(layer.channels):
                for x in range(length):
                    lines[base + c * between + x] = 0


@compiled
def conv_band(  # type: ignore[no-untyped-def]
    source, ring, scale, layer, first, area, taps, weights, groups, functions, parameters, checked, quantum,
    lines, out, out_ring, out_strides, offsets, sums, used,
):  # fmt: skip
    """Outputs area = (t0, t1, y0, y1) of a layer; returns (finite, number of clipped values).

    source: (frames, rows, width*channels) raw, or planar float32 where `layer.interleaved` is false.
    ring: (begin, count) of the frames held: frame t lies at (begin + t) modulo the source's length.
    first: frame at which the window of output 0 begins; frames outside the source are zero.
    taps: (K, 4) per tap its frame, channel, row and place in a line, relative to the window.
    weights, groups: flat weights of each group of outputs, and (start, tile width, first output, outputs).
    functions, parameters: (n,), (n, 3), applied to each row in order; after the first `checked` of them
        values must be finite (-1: not looked at).
    lines: (block frames, channels, extent_y, line) flat scratch, zero where no input is loaded.
    out, out_ring, out_strides: flat output, where in it output 0 lies and how many frames it holds before
        it begins again, and its steps for (frame, row, channel).
    offsets, sums, used: scratch: a number for each tap, (4, out_width up to a multiple of TILE), and a number
        for each frame of `lines`.
    """
    t0, t1, y0, y1 = area
    length = layer.stride_x * layer.phase
    between = layer.extent_y * length
    capacity = lines.shape[0] // (layer.channels * between)
    block = (capacity - layer.extent_t) // layer.stride_t + 1
    finite, clipped = True, 0
    for start in range(t0, t1, block):
        count = min(block, t1 - start)
        for f in range(capacity):
            used[f] = 0
        for t in range(count):
            for k in range(taps.shape[0]):
                used[t * layer.stride_t + taps[k, 0]] = 1
        frames = (count - 1) * layer.stride_t + layer.extent_t
        loaded = y0 * layer.stride_y
        for y in range(y0, y1):
            top = y * layer.stride_y
            for row in range(max(loaded, top), top + layer.extent_y):
                _load_rows(source, ring, first + start * layer.stride_t, used, frames, row - layer.top,
                           row % layer.extent_y, lines, layer, scale)  # fmt: skip
            loaded = top + layer.extent_y
            for t in range(count):
                for k in range(taps.shape[0]):
                    line = (t * layer.stride_t + taps[k, 0]) * layer.channels + taps[k, 1]
                    offsets[k] = line * between + (top + taps[k, 2]) % layer.extent_y * length + taps[k, 3]
                for g in range(groups.shape[0]):
                    _sum_taps(lines, offsets, weights, groups[g, 0], groups[g, 1], layer.out_width, sums)
                    for c in range(groups[g, 3]):
                        values = sums[c]
                        for i in range(functions.shape[0]):
                            if i == checked:
                                finite &= _finite(values, layer.out_width)
                            p = parameters[i]
                            _apply(values, layer.out_width, functions[i], p[0], p[1], p[2])
                        if checked == functions.shape[0]:
                            finite &= _finite(values, layer.out_width)
                        base = (out_ring[0] + start + t) % out_ring[1] * out_strides[0] + y * out_strides[1]
                        base += (groups[g, 2] + c) * out_strides[2]
                        clipped += _store(values, layer.out_width, out, base, quantum)
    return finite, clipped


@compiled
def _sum_taps(lines, offsets, weights, start, outputs, width, sums):  # type: ignore[no-untyped-def]
    """One row of `outputs` channels, tile by tile; `sums` and the lines reach past the row's end."""
    taps = offsets.shape[0]
    if outputs == 4:
        for x in range(0, width, WIDTH_4):
            tile_4(lines, x, offsets, weights, start, taps, sums)
    elif outputs == 2:
        for x in range(0, width, WIDTH_2):
            tile_2(lines, x, offsets, weights, start, taps, sums)
    else:
        for x in range(0, width, WIDTH_1):
            tile_1(lines, x, offsets, weights, start, taps, sums)
