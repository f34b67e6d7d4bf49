"""What the compiled loops are made of: a tile of convolution in vector registers, and e**x, tanh, erf.

Plain loops leave two things to the compiler's luck that are settled here: that sums stay in registers over
all taps, and that exponentials vectorise. mediaconv.compute.loops strings these together.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj, linalg

from mediaconv.compute.kernel_types import ACCUMULATORS, LANES, TILE


def _load_numba() -> None:
    """What Numba loads when it first compiles, but for SciPy, which takes as long as Numba itself.

    Numba only asks whether it is there, and loads it where a function multiplies matrices.
    """
    ensure = linalg.ensure_blas
    if importlib.util.find_spec("scipy") is not None:
        linalg.ensure_blas = lambda: None
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = ensure


_load_numba()

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

_FLOATS = types.Array(types.float32, 1, "C")
_ROWS = types.Array(types.float32, 2, "C")
_INTS = types.Array(types.int64, 1, "C")


def compiled(function: Any) -> Any:
    """Compile at the first call, without the interpreter's lock.

    Nothing inside allocates, so that compiled code asks nothing of Numba when it runs.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
    return njit(**options)(function)


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


def _rint_of(typing, value):  # type: ignore[no-untyped-def]
    """Round to nearest, ties to even; vectorised."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.args[0])
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [kind]), args)

    return value(value), generate


rint: Any = intrinsic(_rint_of)


def _as_float_of(typing, value):  # type: ignore[no-untyped-def]
    """The float32 of these 32 bits."""
    return types.float32(types.int32), lambda _c, builder, _s, args: builder.bitcast(args[0], ir.FloatType())


_as_float: Any = intrinsic(_as_float_of)


def _as_bits_of(typing, value):  # type: ignore[no-untyped-def]
    """The 32 bits of this float32."""
    return types.int32(types.float32), lambda _c, builder, _s, args: builder.bitcast(args[0], ir.IntType(32))


as_bits: Any = intrinsic(_as_bits_of)


@njit(nogil=True, error_model="numpy", inline="always")
def exp(x):  # type: ignore[no-untyped-def]
    """e**x to two units in the last place (Cephes' expf); NaN stays NaN."""
    x = EXP_HIGH if x > EXP_HIGH else x
    x = EXP_LOW if x < EXP_LOW else x
    n = rint(x * LOG2_E)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = ((((E5 * r + E4) * r + E3) * r + E2) * r + E1) * r + E0
    return (p * r * r + r + ONE) * _as_float((np.int32(n) + np.int32(127)) << np.int32(23))


@njit(nogil=True, error_model="numpy", inline="always")
def tanh(x):  # type: ignore[no-untyped-def]
    """tanh, exact to a few units also near zero (Cephes' tanhf)."""
    z = x * x
    small = ((((T4 * z + T3) * z + T2) * z + T1) * z + T0) * z * x + x
    large = ONE - TWO / (exp(TWO * abs(x)) + ONE)
    large = -large if x < np.float32(0) else large
    return small if abs(x) < TANH_SMALL else large


@njit(nogil=True, error_model="numpy", inline="always")
def normal_cdf(x):  # type: ignore[no-untyped-def]
    """Share of a normal distribution below x: erfc(-x / sqrt 2) / 2, relative error 2e-7."""
    z = abs(x) * SQRT_HALF
    t = ONE / (ONE + HALF * z)
    p = ((((((((C9 * t + C8) * t + C7) * t + C6) * t + C5) * t + C4) * t + C3) * t + C2) * t + C1) * t + C0
    tail = HALF * t * exp(p - z * z)
    return tail if x < np.float32(0) else ONE - tail
