"""Every capture is compared with the module before it is handed out: random input in ragged chunks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from mediaconv.nn.graph.capture.stated_layout import fails_at
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.streaming.protocol import run_chunks

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 2**-4, torch.float16: 2**-6}
"""Relative to the largest value of the whole output; sums of a chunk are rounded in another order."""
ROUNDINGS = 8
"""Times its own rounding by which a model may differ in chunks, where it rounds more than is usual."""
_NEAR = 2048
"""Steps past the example's length within which others are looked for that the module takes."""


class DiffersError(CaptureError):
    """A capture that does not give what its module gives."""


def check(
    module: nn.Module,
    example: Tensor,
    axis: int = 0,
    taken: Callable[[int], bool] = lambda length: True,
    exact: nn.Module | None = None,
) -> list[int]:
    """Raise CaptureError unless a streaming module's chunks give what it gives on the whole.

    Returns the lengths among those tried that the module itself refuses.

    The lengths are the example's and two others; those that the module itself refuses are left out.
    taken: whether a length is one that the module claims to stream. exact: see `agrees`.
    """
    length = example.shape[axis + 2]
    passed, refused = 0, []
    near = islice((n for n in range(length + 1, length + _NEAR) if taken(n)), 2)
    for size in (length, length + 1, length - 1, 2 * length + 3, 2 * length, *near, 3 * length):
        if passed < 3 and size > 0 and taken(size):
            ran = agrees(module, example, axis, size, needed=size == length, exact=exact)
            passed += ran
            refused += [] if ran else [size]
    if passed < 2:
        raise CaptureError(
            [
                f"the module runs at {length} steps of its example alone: give an example of another length, "
                "or export it with that length open (torch.export's dynamic_shapes)"
            ]
        )
    return refused


def runs(module: Callable[[Tensor], object], example: Tensor, axis: int, size: int) -> bool:
    """Whether a module itself takes a length."""
    shape = list(example.shape)
    shape[axis + 2] = size
    try:
        with torch.no_grad():
            module(_noise(example, shape, size))
    except Exception:  # of any kind: it is the module's own
        return False
    return True


def agrees(
    module: nn.Module,
    example: Tensor,
    axis: int,
    size: int,
    *,
    needed: bool = False,
    exact: nn.Module | None = None,
) -> bool:
    """Whether chunks give the whole at a length; False where the module refuses the length itself.

    needed: such a length raises CaptureError with what the module says.
    exact: the module in float64, by which its own rounding is known: chunks may be off by some times that.
    """
    shape = list(example.shape)
    shape[axis + 2] = size
    x = _noise(example, shape, size)
    with torch.no_grad():
        try:
            whole = module(x)
        except Exception as error:  # of any kind: it is the module's own
            if needed:
                raise CaptureError([f"{fails_at(shape, error)}: give an input that it takes"]) from error
            return False
        try:
            usual = max(example.shape[axis + 2], size // 4)  # of a long input a few large chunks
            chunks = x.split(list(ragged(size, usual)), axis + 2)
            streamed = run_chunks(module, chunks, axis)
        except (ValueError, RuntimeError, IndexError) as error:
            said = str(error).splitlines()[0]
            raise DiffersError([f"the capture fails for {size} steps: {said}"]) from error
        rounding = 0.0 if exact is None else float((exact(x.double()) - whole).abs().max())
        try:
            compare(streamed, whole, f"{size} steps", getattr(module, "coarsest", whole.dtype), rounding)
        except DiffersError:
            # a value at the edge of a step goes to either side by the last bit: seldom so in float64
            if x.dtype == torch.float64 or not getattr(module, "rounds", False):
                raise
            return agrees(copy.deepcopy(module).double(), example.double(), axis, size, needed=needed)
    return True


def _noise(example: Tensor, shape: list[int], seed: int) -> Tensor:
    """Random input: normal, or of whole numbers the example's own values, which a module may count by."""
    generator = torch.Generator().manual_seed(seed)
    if example.is_floating_point() or example.is_complex():
        return torch.randn(shape, generator=generator).to(example)
    values = example.flatten()
    return values[torch.randint(len(values), shape, generator=generator).to(values.device)]


def ragged(length: int, example: int) -> Iterator[int]:
    """Chunks that make up a length: single steps, none, a few, and large ones."""
    sizes = (1, 0, 2, 1, max(1, example // 5), 3, max(1, example // 3))
    i = 0
    while length:
        size = min(length, sizes[i % len(sizes)])
        yield size
        length -= size
        i += 1


def compare(ours: Tensor, whole: Tensor, what: str, dtype: torch.dtype, rounding: float = 0.0) -> None:
    """Raise CaptureError where a stream differs from the whole.

    dtype: the least precise of its values. rounding: by how much the whole itself is off.
    """
    if ours.shape != whole.shape:
        raise DiffersError(
            [
                f"the capture gives shape {tuple(ours.shape)} for {what}, the module {tuple(whole.shape)}: "
                "it is not used"
            ]
        )
    if not whole.numel():
        return
    same = (ours == whole) | (ours.isnan() & whole.isnan())
    if whole.dtype == torch.bool:
        ours, whole = ours.byte(), whole.byte()
    error = float((ours - whole).abs().masked_fill(same, 0).max())
    scale = float(whole.masked_fill(~whole.isfinite(), 0).abs().max()) or 1.0
    allowed = TOLERANCE.get(dtype, 0.0)
    if not error <= max(allowed * scale, ROUNDINGS * rounding):
        raise DiffersError(
            [
                f"the capture differs from the module by {error / scale:.3g} (relative) for {what}, allowed "
                f"are {allowed:g}: it is not used"
            ]
        )
