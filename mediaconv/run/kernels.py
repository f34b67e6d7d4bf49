"""Compiled loops for few-channel convolution on a CPU: raw rows in, activated or quantized rows out.

One function, `conv_band`, does a layer over a band of output rows: it turns input rows into padded float32
lines that stay in the cache, adds up all taps of an output in registers and finishes each row (activation,
normalizing, rounding) while it is still there. It knows nothing of modules, streams or threads
(`mediaconv.run.fused`).

Every output element is `bias + tap + tap + ...` by fused multiply-add in one fixed order, wherever it lies
in a row, a band or a chunk: results do not depend on how the work is divided. All compiled code is in this
one file, because numba renews its cache on disk by the time stamp of the file of the function it compiles.
"""

from __future__ import annotations

import platform
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

_FEATURES = binding.get_host_cpu_features()
SUPPORTED = bool(_FEATURES.get("fma")) or platform.machine().lower() in ("aarch64", "arm64")
"""Whether this CPU has fused multiply-add; without it each would be a library call."""
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx2") else 4
ACCUMULATORS = 8 if LANES == 8 else 16
"""Vector registers that hold sums: half of what the instruction set has."""
TILE = LANES * ACCUMULATORS
"""Rows are computed up to a multiple of it; scratch rows are that much longer."""

SLAB = 4096
"""Values finished at a time: they stay in the first-level cache."""

# What happens to a value, as codes: activations after a layer and the function of a normalizer.
AFFINE, CLAMP, LEAKY_RELU, SIGMOID, TANH, SILU, GELU, GELU_TANH = range(8)


class Layer(NamedTuple):
    """Sizes of one layer; t, y, x are frames, rows and columns, extents are effective kernel sizes.

    top, left: rows and columns of zeros before the input (negative: input left out). phase: length of a
    line's part for one remainder of the column by stride_x; a line has stride_x of them.
    """

    channels: int
    height: int
    width: int
    interleaved: bool
    stride_t: int
    stride_y: int
    stride_x: int
    extent_t: int
    extent_y: int
    extent_x: int
    top: int
    left: int
    out_width: int
    phase: int


class Quantum(NamedTuple):
    """How a finished value is stored: round(v * scale) in low ... high; a scale of 0 stores it as it is.

    Scaled values below `below` or above `above` count as clipped.
    """

    scale: float
    low: float
    high: float
    below: float
    above: float


UNROUNDED = Quantum(0.0, 0.0, 0.0, 0.0, 0.0)


ONE, HALF, TWO = np.float32(1), np.float32(0.5), np.float32(2)
EXP_HIGH, EXP_LOW, LOG2_E = np.float32(88.0), np.float32(-87.0), np.float32(1.44269504)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
E5, E4, E3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
E2, E1, E0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
T4, T3, T2 = np.float32(-5.70498872745e-3), np.float32(2.06390887954e-2), np.float32(-5.37397155531e-2)
T1, T0, TANH_SMALL = np.float32(1.33314422036e-1), np.float32(-3.33332819422e-1), np.float32(0.625)
C9, C8, C7 = np.float32(0.17087277), np.float32(-0.82215223), np.float32(1.48851587)
C6, C5, C4 = np.float32(-1.13520398), np.float32(0.27886807), np.float32(-0.18628806)
C3, C2, C1 = np.float32(0.09678418), np.float32(0.37409196), np.float32(1.00002368)
C0, SQRT_HALF = np.float32(-1.26551223), np.float32(0.70710678)
GELU_SCALE, GELU_CUBE = np.float32(0.79788456), np.float32(0.044715)

_FLOATS = types.Array(types.float32, 1, "C")
_ROWS = types.Array(types.float32, 2, "C")
_INTS = types.Array(types.int64, 1, "C")


def _tile(outputs: int) -> Any:
    """An intrinsic that computes one tile: `outputs` channels by as many vectors as the registers hold.

    tile(lines, x, offsets, weights, start, taps, sums): sums[c, x:x+width] = weights[start + c] +
    sum over tap k of weights[start + outputs*(k+1) + c] * lines[offsets[k] + x ...].
    """
    vectors = ACCUMULATORS // outputs
    vector = ir.VectorType(ir.FloatType(), LANES)
    nothing = ir.Constant(vector, ir.Undefined)
    i32, i64 = ir.IntType(32), ir.IntType(64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def data(i: int) -> Any:
            return arrayobj.make_array(signature.args[i])(context, builder, args[i])

        def splat(value: Any) -> Any:
            first = builder.insert_element(nothing, value, ir.Constant(i32, 0))
            return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(i32, LANES), [0] * LANES))

        def at(pointer: Any, *indices: Any) -> Any:
            for index in indices:
                index = ir.Constant(i64, index) if isinstance(index, int) else index
                pointer = builder.gep(pointer, [index])
            return pointer

        def vector_at(pointer: Any) -> Any:
            return builder.bitcast(pointer, vector.as_pointer())

        lines, x, offsets, weights, start, taps, _ = args
        lines, offsets, weights, sums = data(0).data, data(2).data, data(3).data, data(6)
        fma_type = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, fma_type, f"llvm.fma.v{LANES}f32")
        total = [[cgutils.alloca_once(builder, vector) for _ in range(vectors)] for _ in range(outputs)]
        for c in range(outputs):
            bias = splat(builder.load(at(weights, start, c)))
            for register in total[c]:
                builder.store(bias, register)
        with cgutils.for_range(builder, taps) as loop:
            row = at(lines, builder.load(at(offsets, loop.index)), x)
            weight = at(weights, start, outputs, builder.mul(loop.index, ir.Constant(i64, outputs)))
            values = [builder.load(vector_at(at(row, v * LANES)), align=4) for v in range(vectors)]
            for c in range(outputs):
                factor = splat(builder.load(at(weight, c)))
                for v in range(vectors):
                    summed = builder.call(fma, [factor, values[v], builder.load(total[c][v])])
                    builder.store(summed, total[c][v])
        width = cgutils.unpack_tuple(builder, sums.shape)[1]
        for c in range(outputs):
            target = at(sums.data, builder.mul(width, ir.Constant(i64, c)), x)
            for v in range(vectors):
                builder.store(builder.load(total[c][v]), vector_at(at(target, v * LANES)), align=4)
        return context.get_dummy_value()

    def typer(context, lines, x, offsets, weights, start, taps, sums):  # type: ignore[no-untyped-def]
        i = types.int64
        return types.void(_FLOATS, i, _INTS, _FLOATS, i, i, _ROWS), generate

    return intrinsic(typer)


tile_4, tile_2, tile_1 = _tile(4), _tile(2), _tile(1)
WIDTH_4, WIDTH_2, WIDTH_1 = TILE // 4, TILE // 2, TILE


@intrinsic
def _rint(typing, value):  # type: ignore[no-untyped-def]
    """Round to nearest, ties to even; vectorised."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.args[0])
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [kind]), args)

    return value(value), generate


@intrinsic
def _as_float(typing, value):  # type: ignore[no-untyped-def]
    """The float32 of these 32 bits."""
    return types.float32(types.int32), lambda _c, builder, _s, args: builder.bitcast(args[0], ir.FloatType())


@intrinsic
def _as_bits(typing, value):  # type: ignore[no-untyped-def]
    """The 32 bits of this float32."""
    return types.int32(types.float32), lambda _c, builder, _s, args: builder.bitcast(args[0], ir.IntType(32))


@njit(nogil=True, error_model="numpy", inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    """e**x to two units in the last place (Cephes' expf); NaN stays NaN."""
    x = EXP_HIGH if x > EXP_HIGH else x
    x = EXP_LOW if x < EXP_LOW else x
    n = _rint(x * LOG2_E)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = ((((E5 * r + E4) * r + E3) * r + E2) * r + E1) * r + E0
    return (p * r * r + r + ONE) * _as_float((np.int32(n) + np.int32(127)) << np.int32(23))


@njit(nogil=True, error_model="numpy", inline="always")
def _tanh(x):  # type: ignore[no-untyped-def]
    """tanh, exact to a few units also near zero (Cephes' tanhf)."""
    z = x * x
    small = ((((T4 * z + T3) * z + T2) * z + T1) * z + T0) * z * x + x
    large = ONE - TWO / (_exp(TWO * abs(x)) + ONE)
    large = -large if x < np.float32(0) else large
    return small if abs(x) < TANH_SMALL else large


@njit(nogil=True, error_model="numpy", inline="always")
def _normal_cdf(x):  # type: ignore[no-untyped-def]
    """Share of a normal distribution below x: erfc(-x / sqrt 2) / 2, relative error 2e-7."""
    z = abs(x) * SQRT_HALF
    t = ONE / (ONE + HALF * z)
    p = ((((((((C9 * t + C8) * t + C7) * t + C6) * t + C5) * t + C4) * t + C3) * t + C2) * t + C1) * t + C0
    tail = HALF * t * _exp(p - z * z)
    return tail if x < np.float32(0) else ONE - tail


@njit(nogil=True, error_model="numpy", cache=True)
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
            row[x] = ONE / (ONE + _exp(-row[x]))
    elif code == TANH:
        for x in range(n):
            row[x] = _tanh(row[x])
    elif code == SILU:
        for x in range(n):
            row[x] = row[x] / (ONE + _exp(-row[x]))
    elif code == GELU:
        for x in range(n):
            row[x] = row[x] * _normal_cdf(row[x])
    elif code == GELU_TANH:
        for x in range(n):
            v = row[x]
            row[x] = HALF * v * (ONE + _tanh(GELU_SCALE * (v + GELU_CUBE * v * v * v)))


@njit(nogil=True, error_model="numpy", cache=True)
def _finite(row, n):  # type: ignore[no-untyped-def]
    """Whether row[:n] holds no NaN and no infinity: by bits, which vectorises."""
    most = np.int32(0)
    for x in range(n):
        bits = _as_bits(row[x]) & np.int32(0x7FFFFFFF)
        most = bits if bits > most else most
    return most < np.int32(0x7F800000)


@njit(nogil=True, error_model="numpy", cache=True)
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
        v = _rint(v)
        v = quantum.low if v < quantum.low else v
        v = quantum.high if v > quantum.high else v
        out[base + x] = np.int32(v)
    return clipped


@njit(nogil=True, error_model="numpy", cache=True)
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


@njit(nogil=True, error_model="numpy", cache=True)
def _split_3(row, a, b, c, n, scale):  # type: ignore[no-untyped-def]
    """Three channels side by side into three lines: in one loop, which vectorises."""
    for x in range(n):
        a[x] = np.float32(row[3 * x]) / scale
        b[x] = np.float32(row[3 * x + 1]) / scale
        c[x] = np.float32(row[3 * x + 2]) / scale


@njit(nogil=True, error_model="numpy", cache=True)
def _divide(row, line, scale):  # type: ignore[no-untyped-def]
    for x in range(row.shape[0]):
        line[x] = np.float32(row[x]) / scale


@njit(nogil=True, error_model="numpy", cache=True)
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


@njit(nogil=True, error_model="numpy", cache=True)
def _load_rows(source, first, used, frames, y, slot, lines, layer, scale):  # type: ignore[no-untyped-def]
    """Row y of `frames` frames from `first` on into their lines; rows and frames outside are zero."""
    length = layer.stride_x * layer.phase
    between = layer.extent_y * length
    for f in range(frames):
        if not used[f]:
            continue
        base = f * layer.channels * between + slot * length
        t = first + f
        if 0 <= t < source.shape[0] and 0 <= y < layer.height:
            _load_row(source[t, y], lines, base, between, layer, scale)
        else:
            for c in range(layer.channels):
                for x in range(length):
                    lines[base + c * between + x] = 0


@njit(nogil=True, error_model="numpy", cache=True)
def conv_band(source, scale, layer, first, area, taps, weights, groups, functions, parameters, checked,
              quantum, lines, out, out_strides):  # type: ignore[no-untyped-def]  # fmt: skip
    """Outputs area = (t0, t1, y0, y1) of a layer; returns (finite, number of clipped values).

    source: (frames, rows, width*channels) raw, or planar float32 where `layer.interleaved` is false.
    first: frame at which the window of output 0 begins; frames outside the source are zero.
    taps: (K, 4) per tap its frame, channel, row and place in a line, relative to the window.
    weights, groups: flat weights of each group of outputs, and (start, tile width, first output, outputs).
    functions, parameters: (n,), (n, 3), applied to each row in order; after the first `checked` of them
        values must be finite (-1: not looked at).
    lines: (block frames, channels, extent_y, line) flat scratch, zero where no input is loaded.
    out, out_strides: flat output and its steps for (frame, row, channel).
    """
    t0, t1, y0, y1 = area
    length = layer.stride_x * layer.phase
    between = layer.extent_y * length
    capacity = lines.shape[0] // (layer.channels * between)
    block = (capacity - layer.extent_t) // layer.stride_t + 1
    offsets = np.empty(taps.shape[0], np.int64)
    sums = np.empty((4, (layer.out_width + TILE - 1) // TILE * TILE), np.float32)
    used = np.zeros(capacity, np.bool_)
    finite, clipped = True, 0
    for start in range(t0, t1, block):
        count = min(block, t1 - start)
        used[:] = False
        for t in range(count):
            for k in range(taps.shape[0]):
                used[t * layer.stride_t + taps[k, 0]] = True
        frames = (count - 1) * layer.stride_t + layer.extent_t
        loaded = y0 * layer.stride_y
        for y in range(y0, y1):
            top = y * layer.stride_y
            for row in range(max(loaded, top), top + layer.extent_y):
                _load_rows(source, first + start * layer.stride_t, used, frames, row - layer.top,
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
                        base = (start + t) * out_strides[0] + y * out_strides[1]
                        base += (groups[g, 2] + c) * out_strides[2]
                        clipped += _store(values, layer.out_width, out, base, quantum)
    return finite, clipped


@njit(nogil=True, error_model="numpy", cache=True)
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
