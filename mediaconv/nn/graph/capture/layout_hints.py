"""What to write for a model whose layout is not (N, C, ...): told by what it takes, and by which sizes of an
export grow.
"""

from __future__ import annotations

from collections.abc import Sequence

from mediaconv.nn.axes_pattern import AxesPattern, told_output
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Dims
from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.symbols import depends, expression

USUAL = {1: ("t",), 2: ("h", "w"), 3: ("t", "h", "w")}
"""Letters of the axes after the channels, by their number."""


def output_hint(captured: Captured, dims: Dims, pattern: AxesPattern | None, axis: int) -> str:
    """What to write for an output whose stream is not where the input has it."""
    letters = pattern.letters if pattern else USUAL.get(len(captured.sizes) - 2, ())
    known = _known(captured, dims, letters, axis) if letters else None
    given = None
    if known is not None:
        sizes = [_number(size) for size in captured.y.meta["val"].shape]
        given = told_output(letters, known, sizes) if pattern is None else _corrected(pattern, known)
    if given is None:
        return "state by axes= what it takes and gives, such as axes='n c t -> n t c'"
    taken = pattern.text.split("->")[0].strip() if pattern else " ".join(["n", "c", *letters])
    return f"give axes='{taken} -> {given}', what it takes and gives"


def _number(size: object) -> int:
    number = expression(size)
    return number if isinstance(number, int) else 0


def _known(captured: Captured, dims: Dims, letters: Sequence[str], axis: int) -> list[str | None] | None:
    """For each dimension of the output the axis that it follows; None where an axis could be any."""
    others = {letter: captured.sizes[d + 2].symbol for d, letter in enumerate(letters) if d != axis}
    if any(symbol is None for symbol in others.values()):
        return None
    known: list[str | None] = []
    for factors, size in zip(dims, captured.y.meta["val"].shape, strict=True):
        single = captured.sizes[0].symbol is None and not known and factors == ()
        names = ["n"] if BATCH in factors or single else []
        names += [letters[axis]] if STREAM in factors else []
        if not names:
            names = [letter for letter, symbol in others.items() if depends(expression(size), symbol)]
        known.append(" ".join(names) or None)
    return known


def _corrected(pattern: AxesPattern, known: Sequence[str | None]) -> str | None:
    """The output's pattern, where the one that was given put its axes in another order."""
    ours = ["n", "c", *pattern.letters]
    if sorted(pattern.output) != sorted(ours) or len(known) != len(ours):
        return None
    truth = {ours[i]: name or "c" for i, name in enumerate(known)}
    return " ".join(truth[name] for name in pattern.output) if len(set(truth.values())) == len(ours) else None


def input_hint(captured: Captured, stream: int) -> str | None:
    """What to write where the stream axis is fixed and another grows: the channels stand elsewhere."""
    sizes = captured.sizes
    grow = [d for d in range(1, len(sizes)) if sizes[d].symbol is not None]
    if stream in grow or 1 not in grow or len(grow) != len(sizes) - 2:
        return None
    letters = iter(USUAL.get(len(sizes) - 2, ()))
    order = ["n", *(next(letters) if d in grow else "c" for d in range(1, len(sizes)))]
    return (
        f"its dimension {stream} is fixed and the others grow: where the channels are there, give "
        f"axes={' '.join(order)!r}, and example= as (N, C, ...)"
    )
