"""The compiled loops as functions of plain pointers, and their machine code: what `native` keeps on disk.

Loads Numba; needed once a machine for each pair of sample types.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj
from numba.np.numpy_support import from_dtype

from mediaconv.compute import loops
from mediaconv.compute.kernel_types import TILE, Layer, Quantum


def machine_code(kind: str, dtypes: tuple[np.dtype, ...]) -> tuple[str, bytes]:
    """The symbol's name and the object file of one entry: "band" of (source, out), "finish" of (out,).

    The function takes where to put a result (unused), where to put an exception (unused; the loops raise
    none), then the pointers of ENTRIES.
    """
    function: Any = ENTRIES[kind]
    pointers = [types.CPointer(from_dtype(dtype)) for dtype in dtypes]
    floats, integers, doubles = (types.CPointer(kind) for kind in (types.float32, types.int64, types.float64))
    if kind == "band":
        source, out = pointers
        signature = types.void(
            source, out, floats, integers, floats, integers, integers, floats, integers, floats, integers,
            integers, doubles, integers,
        )  # fmt: skip
    else:
        signature = types.void(floats, pointers[0], integers, floats, integers, doubles, integers)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled = njit([signature], **options)(function)
    result: Any = compiled.overloads[signature.args]
    return str(result.fndesc.llvm_func_name), bytes(result.library._get_compiled_object())


def _array_at_of(typing, pointer, shape):  # type: ignore[no-untyped-def]
    """The contiguous array of this shape at a pointer; Numba's own carray counts references."""
    kind = types.Array(pointer.dtype, len(shape), "C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = arrayobj.make_array(kind)(context, builder)
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        lengths = [
            context.cast(builder, value, given, types.intp)
            for value, given in zip(cgutils.unpack_tuple(builder, args[1]), shape.types, strict=True)
        ]
        strides: list[Any] = []
        step = size
        for length in reversed(lengths):
            strides.insert(0, step)
            step = builder.mul(step, length)
        arrayobj.populate_array(array, args[0], lengths, strides, size, meminfo=None)
        return array._getvalue()

    return kind(pointer, shape), generate


array_at: Any = intrinsic(_array_at_of)


def _band(  # type: ignore[no-untyped-def]
    source, out, lines, taps, weights, groups, codes, parameters, offsets, sums, used, sizes, numbers, result
):  # fmt: skip
    """loops.conv_band; sizes: as `native.ConvBands` lays them out."""
    n = array_at(sizes, (36,))
    q = array_at(numbers, (6,))
    layer = Layer(
        n[0], n[1], n[2], n[3] != 0, n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12], n[13]
    )  # fmt: skip
    tiled = (n[12] + TILE - 1) // TILE * TILE
    finite, clipped = loops.conv_band(
        array_at(source, (n[14], n[1], n[15])), (n[16], n[17]), np.float32(q[5]), layer, n[18],
        (n[19], n[20], n[21], n[22]), array_at(taps, (n[23], 4)), array_at(weights, (n[24],)),
        array_at(groups, (n[25], 4)), array_at(codes, (n[26],)), array_at(parameters, (n[26], 3)), n[27],
        Quantum(q[0], q[1], q[2], q[3], q[4]), array_at(lines, (n[28],)), array_at(out, (n[29],)),
        (n[30], n[31]), (n[32], n[33], n[34]), array_at(offsets, (n[23],)), array_at(sums, (4, tiled)),
        array_at(used, (n[35],)),
    )  # fmt: skip
    found = array_at(result, (2,))
    found[0] = 1 if finite else 0
    found[1] = clipped


def _finish(values, out, codes, parameters, sizes, numbers, result):  # type: ignore[no-untyped-def]
    """loops.finish; sizes: values, functions."""
    n = array_at(sizes, (2,))
    q = array_at(numbers, (5,))
    finite, clipped = loops.finish(
        array_at(values, (n[0],)), array_at(codes, (n[1],)), array_at(parameters, (n[1], 3)),
        Quantum(q[0], q[1], q[2], q[3], q[4]), array_at(out, (n[0],)),
    )  # fmt: skip
    found = array_at(result, (2,))
    found[0] = 1 if finite else 0
    found[1] = clipped


ENTRIES = {"band": _band, "finish": _finish}
