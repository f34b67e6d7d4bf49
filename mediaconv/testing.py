"""Checks of any layer or model, in a line: that it streams exactly, and that it reads nothing later.

    from mediaconv.testing import check_causality, check_streaming

    check_streaming(my_layer, (1, 2, 40))
    check_causality(my_model, (1, 3, 12, 16, 16))

They know a module only by its public behaviour: called on the whole, pushed in chunks, differentiated.
Nothing here runs files or configurations, and a passed check is no proof: `mediaconv prove` looks at more
inputs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mediaconv.nn import AxisMap, Stream, geometry, stream
from mediaconv.nn.copying import copy_module
from mediaconv.nn.streaming.state import State

__all__ = ["ContractError", "check_causality", "check_geometry", "check_streaming"]

TOLERANCE = {
    # relative to the largest absolute value of the whole output
    torch.float64: 1e-12,
    torch.float32: 1e-6,
    # eight bits of mantissa: one rounding of the last place is 2**-8, and sums of a chunk round elsewhere
    torch.bfloat16: 2**-6,
}

PLANS = ((1,) * 64, (3, 0, 1, 7), (0, 5, 2, 0, 0, 11))
"""Chunk lengths that are tried where none are given: step by step, ragged, with empty chunks."""


class ContractError(AssertionError):
    """A module that breaks the contract of exact streaming."""


def require(kept: bool, message: str) -> None:
    """Raise ContractError with a message unless a promise is kept."""
    if not kept:
        raise ContractError(message)


def check_streaming(
    module: nn.Module,
    example: Sequence[int] | Tensor,
    chunks: Sequence[int] | None = None,
    *,
    axis: int = 0,
    dtype: torch.dtype = torch.float64,
    causal: bool = False,
    measure: str = "bound",
    seed: int = 0,
    tolerance: float | None = None,
) -> None:
    """Check everything that a streaming module promises. The module is left as it was.

    In chunks and in one step it gives what it gives on the whole, and each output as soon as its inputs are
    there; lengths are those of the formula; its state can be saved, copied and put back; two streams do not
    disturb each other; no chunk is changed or kept. Receptive field, look-back and latency are those of the
    gradient.

    example: an input (N, C, ...), or its shape, for which noise is drawn.
    chunks: their lengths; what they leave of the input is one last chunk, what they have too much is ignored.
        Default: three plans, step by step among them.
    axis: the axis after the channels that the chunks come along.
    dtype: of the run; the tolerance is 1e-12 of the largest output in float64, 1e-6 in float32.
    causal: also check that no output reads a later input, as `check_causality`.
    measure: "bound": what the gradient measures lies within the formula; "exact": it is the formula (not with
        max pooling or dead units, which pass no gradient); "no": it is not measured.

    Raises ContractError naming the promise that is broken, TypeError for a layer that cannot stream.

    >>> from mediaconv.nn import CausalConv1d
    >>> check_streaming(CausalConv1d(2, 4, 3, dilation=2), (1, 2, 20), causal=True, measure="exact")
    """
    module, x = prepared(module, example, dtype, seed)
    with torch.no_grad():
        whole = module(x)
        check_shapes(module, x, whole, axis)
        fresh = stream(module, axis=axis)
        for plan in PLANS if chunks is None else [chunks]:
            parts = split(x, plan, axis)
            kept: list[Middle] = []
            check_chunks(fresh, parts, whole, tolerance, kept)
            check_overwritten(fresh, parts, whole, tolerance)
            check_saved(fresh, kept[0], parts, whole, tolerance)
            check_interleaved(module, fresh, x, plan, whole, tolerance)
        check_one_step(fresh, x, whole, tolerance)
    if causal and dtype == torch.float64:
        check_causal_by_gradient(module, x, axis)
        check_causal_by_perturbation(module, x, axis)
    if measure != "no" and dtype == torch.float64:
        check_geometry(module, x.shape, axis, exact=measure == "exact")


def check_causality(
    module: nn.Module, example: Sequence[int] | Tensor, *, axis: int = 0, seed: int = 0
) -> None:
    """Check by the gradient of every output, and by changed inputs, that none reads a later input.

    Output j stands at input `floor(j * stride)` of the axis. The module is run in float64 and eval mode, and
    left as it was.
    example: an input (N, C, ...), or its shape, for which noise is drawn.

    Raises ContractError naming the first output that reads ahead; TypeError for a module whose stride is not
    known.

    >>> from mediaconv.nn import CausalConv1d, Conv1d
    >>> check_causality(CausalConv1d(1, 1, 3), (1, 1, 12))
    >>> check_causality(Conv1d(1, 1, 3, padding="same"), (1, 1, 12))
    Traceback (most recent call last):
    ...
    mediaconv.testing.ContractError: output 0 reads 1 inputs after its time
    """
    module, x = prepared(module, example, torch.float64, seed)
    check_causal_by_gradient(module, x, axis)
    check_causal_by_perturbation(module, x, axis)


def prepared(
    module: nn.Module, example: Sequence[int] | Tensor, dtype: torch.dtype, seed: int
) -> tuple[nn.Module, Tensor]:
    """A copy in eval mode and an input, both in a type."""
    if not isinstance(example, Tensor):
        generator = torch.Generator().manual_seed(seed)
        example = torch.randn(tuple(example), generator=generator, dtype=torch.float64)
    return copy_module(module).to(dtype).eval(), example.detach().to(dtype)


def split(x: Tensor, plan: Sequence[int], axis: int) -> list[Tensor]:
    """An input cut into chunks by a plan."""
    chunks, start, length = [], 0, x.shape[axis + 2]
    for size in plan:
        size = min(size, length - start)
        chunks.append(x.narrow(axis + 2, start, size))
        start += size
    return [*chunks, x.narrow(axis + 2, start, length - start)]


def close(ours: Tensor, whole: Tensor, tolerance: float | None, what: str) -> None:
    """Require equality within the type's tolerance, relative to the largest value of the whole output."""
    require(
        ours.shape == whole.shape, f"{what}: shape {tuple(ours.shape)}, on the whole {tuple(whole.shape)}"
    )
    require(ours.dtype == whole.dtype, f"{what}: {ours.dtype}, on the whole {whole.dtype}")
    differs = ~(torch.isinf(whole) & (ours == whole))  # a maximum over padding alone is -inf, as torch's
    ours, whole = ours[differs], whole[differs]
    if not whole.numel():
        return
    limit = (TOLERANCE[whole.dtype] if tolerance is None else tolerance) * float(whole.abs().max())
    error = float((ours - whole).abs().max())
    require(error <= limit, f"{what}: differs by {error:.3g} from the whole, allowed are {limit:.3g}")


def check_shapes(module: nn.Module, x: Tensor, whole: Tensor, axis: int) -> None:
    """Output lengths by formula, along every axis."""
    for a, length in enumerate(x.shape[2:]):
        formula = geometry(module, a).output_length(length)
        outputs = whole.shape[a + 2]
        require(formula == outputs, f"axis {a}: {outputs} outputs, by formula {formula}")


def run(s: Stream, chunks: Sequence[Tensor]) -> Tensor:
    """Push chunks, flush and join."""
    return torch.cat([*(s.push(c) for c in chunks), s.flush()], s.axis + 2)


def check_one_step(fresh: Stream, x: Tensor, whole: Tensor, tolerance: float | None) -> None:
    """An input that is one chunk gives the whole in one step, and after it a fresh stream does."""
    s = fresh.copy()
    for each in (s, s.fresh()):
        lent = x.clone()
        y = each.whole(lent)
        require(torch.equal(lent, x), "a chunk was changed in place")
        close(y, whole, tolerance, "one step")


@dataclass(frozen=True)
class Middle:
    """A stream after some chunks: an output for each of them, and its state as it can be kept.

    stream: has gone on since.
    """

    stream: Stream
    outputs: list[Tensor]
    state: State
    file: io.BytesIO
    copy: Stream


def middle_of(s: Stream, outputs: Sequence[Tensor]) -> Middle:
    """A stream as it stands, kept in every way."""
    file = io.BytesIO()
    torch.save(s.state_dict(), file, _use_new_zipfile_serialization=False)  # the other takes twice as long
    return Middle(s, list(outputs), s.get_state(), file, s.copy())


def check_chunks(
    fresh: Stream,
    chunks: Sequence[Tensor],
    whole: Tensor,
    tolerance: float | None,
    kept: list[Middle] | None = None,
) -> None:
    """Joined outputs equal the whole; every output that needs nothing more is given at once.

    kept: is given the stream as it stands in the middle, which changes nothing.
    """
    s, axis, half = fresh.copy(), fresh.axis, (len(chunks) + 1) // 2
    outputs: list[Tensor] = []
    received, emitted = 0, 0
    before = [chunk.clone() for chunk in chunks]
    for count, chunk in enumerate(chunks, 1):
        outputs.append(s.push(chunk))
        received += chunk.shape[axis + 2]
        emitted += outputs[-1].shape[axis + 2]
        require(emitted >= due(s, received), f"{emitted} outputs after {received} inputs: they are late")
        if count == half and kept is not None:
            kept.append(middle_of(s, outputs))
    outputs.append(s.flush())
    close(torch.cat(outputs, axis + 2), whole, tolerance, "chunks")
    require(all(map(torch.equal, before, chunks)), "a chunk was changed in place")


def check_overwritten(
    fresh: Stream, chunks: Sequence[Tensor], whole: Tensor, tolerance: float | None
) -> None:
    """What was pushed and what came of it is the caller's to overwrite: the stream reads neither again."""
    s, outputs = fresh.copy(), []
    for chunk in chunks:
        lent = chunk.clone()
        y = s.push(lent)
        outputs.append(y.clone())
        y.fill_(math.nan)
        lent.fill_(math.nan)
    outputs.append(s.flush())
    close(torch.cat(outputs, s.axis + 2), whole, tolerance, "overwritten")


def due(s: Stream, received: int) -> int:
    """Outputs whose inputs have all come, and that exist whatever comes."""
    if s.latency == math.inf:
        return 0
    return min(max(0, math.floor((received - 1 - s.latency) / s.stride) + 1), s.output_length(received))


def check_saved(
    fresh: Stream, middle: Middle, chunks: Sequence[Tensor], whole: Tensor, tolerance: float | None
) -> None:
    """A stream saved in the middle and put back goes on as if nothing had happened; so does its copy."""
    s, rest = middle.stream, chunks[len(middle.outputs) :]
    middle.file.seek(0)
    loaded = fresh.copy()
    loaded.load_state_dict(torch.load(middle.file, weights_only=True))
    s.set_state(middle.state)
    for what, again in ("from a file", loaded), ("copy", middle.copy), ("set back", s):
        close(torch.cat([*middle.outputs, run(again, rest)], s.axis + 2), whole, tolerance, what)


def check_interleaved(
    module: nn.Module, fresh: Stream, x: Tensor, plan: Sequence[int], whole: Tensor, tolerance: float | None
) -> None:
    """Two streams over one module, pushed in turn, do not disturb each other."""
    axis = fresh.axis
    other = x.flip(0, axis + 2) * 0.5
    streams = fresh.copy(), stream(module, axis=axis)
    outputs: tuple[list[Tensor], list[Tensor]] = ([], [])
    for pair in zip(split(x, plan, axis), split(other, plan, axis), strict=True):
        for s, out, chunk in zip(streams, outputs, pair, strict=True):
            out.append(s.push(chunk))
    for s, out in zip(streams, outputs, strict=True):
        out.append(s.flush())
    close(torch.cat(outputs[0], axis + 2), whole, tolerance, "interleaved")
    close(torch.cat(outputs[1], axis + 2), module(other), tolerance, "interleaved, the other")


def reads(module: nn.Module, x: Tensor, axis: int, output: int) -> Tensor:
    """Which inputs along the axis an output depends on, by gradient: booleans."""
    return next(_reads_of(module, x, axis, [output]))


def _reads_of(module: nn.Module, x: Tensor, axis: int, outputs: Iterable[int]) -> Iterator[Tensor]:
    x = x.detach().requires_grad_()
    y = module(x)
    weights = torch.rand(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(2)) + 0.5
    for output in outputs:
        if not y.requires_grad:
            yield torch.zeros(x.shape[axis + 2], dtype=torch.bool)
            continue
        part = (y * weights).select(axis + 2, output).sum()
        (gradient,) = torch.autograd.grad(part, x, retain_graph=True)
        yield (gradient != 0).movedim(axis + 2, 0).flatten(1).any(1)


def check_causal_by_gradient(module: nn.Module, x: Tensor, axis: int) -> None:
    """Exactly zero gradient from every later input."""
    stride = geometry(module, axis).total_stride
    outputs = range(geometry(module, axis).output_length(x.shape[axis + 2]))
    for j, read in zip(outputs, _reads_of(module, x, axis, outputs), strict=True):
        later = read[math.floor(j * stride) + 1 :]
        require(not later.any(), f"output {j} reads {int(later.sum())} inputs after its time")


def check_causal_by_perturbation(module: nn.Module, x: Tensor, axis: int) -> None:
    """Other inputs after a time change no output up to it."""
    stride, length = geometry(module, axis).total_stride, x.shape[axis + 2]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        whole = module(x)
        for time in range(length - 1):
            changed = x.clone()
            later = changed.narrow(axis + 2, time + 1, length - time - 1)
            later.copy_(100 * torch.randn(later.shape, generator=generator, dtype=x.dtype))
            count = min(whole.shape[axis + 2], math.ceil((time + 1) / stride))
            past = [y.narrow(axis + 2, 0, count) for y in (module(changed), whole)]
            # the same numbers in another place of a vector register may be summed in another order
            close(past[0], past[1], None, f"inputs after {time} changed")


def enough(across: AxisMap) -> int:
    """A length of another axis at which some window lies wholly inside the input."""
    return 4 if across.receptive_field == math.inf else int(across.receptive_field + 2 * across.input_period)


def check_geometry(module: nn.Module, shape: Sequence[int], axis: int, *, exact: bool) -> None:
    """Latency, look-back and receptive field by formula are the gradient's support in mid-signal."""
    g = geometry(module, axis)
    if g.latency == math.inf:
        require(g.receptive_field == math.inf, "an endless latency with a finite receptive field")
        return
    period = g.period
    margin = int(max(g.lookback, g.receptive_field) + g.latency) + 2 * g.input_period
    first = math.ceil((margin + 1) / g.total_stride / period) * period
    length = math.ceil((first + period) * g.total_stride) + margin + g.input_period
    others = [geometry(module, a) for a in range(len(shape) - 2)]
    if any(other.receptive_field == 0 for other in others):
        return  # along another axis it reads only what lies between spread inputs: nothing of any input
    sizes = [*shape[:2], *(enough(other) for other in others)]
    sizes[axis + 2] = length
    x = torch.rand(sizes, dtype=torch.float64) + 0.1
    spans, ahead, behind = [], 0, 0
    # outputs that a mirrored start may reach
    mirrored = math.ceil(g.lookback / g.total_stride) if g.reflects else 1
    looked_at = [*range(min(mirrored, first)), *range(first, first + period)]
    for j, read in zip(looked_at, _reads_of(module, x, axis, looked_at), strict=True):
        positions = read.nonzero()[:, 0]
        if not len(positions):
            continue
        low, high, now = int(positions[0]), int(positions[-1]), math.floor(j * g.total_stride)
        ahead = max(ahead, high - now)
        if j >= first:
            spans.append(high - low + 1)
            behind = max(behind, now - low)
    measured = (max(spans, default=0), ahead, behind)
    formula = (g.receptive_field, g.latency, g.lookback)
    kept = measured == formula if exact else all(m <= f for m, f in zip(measured, formula, strict=True))
    require(kept, f"receptive field, latency, look-back: measured {measured}, by formula {formula}")
