"""Whether a module's outputs read later inputs, how far, and which layer does it: measured.

Knows modules, not files: `file_to_file` does the same from file to file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from mediaconv.compare.prove.function_reads.coverage import Coverage
from mediaconv.compare.prove.module_proof.attribution import Leak, label_of, leaking_layers
from mediaconv.compare.prove.module_proof.lengths import ProbeShape, as_tried
from mediaconv.compare.prove.module_proof.structure import by_graph, by_layers, formula_ahead, too_large
from mediaconv.compare.prove.module_proof.trial import (
    first_ahead,
    formula_of,
    leading,
    measured,
    one_thread,
)
from mediaconv.nn.summary.dependence import noncausal_layers
from mediaconv.nn.summary.receptive_field import exact_copy


@dataclass(frozen=True)
class Proof:
    """What was measured of a module.

    causal: no output reads a later input, by either method.
    lookahead: steps after its own time that an output reads; None where it reads to the end.
    unit: what a step is: the name of the axis along which it looks ahead.
    formula: the same by `mediaconv.nn.geometry`; None: to the end. known: whether there is a formula.
    by: look-ahead by each method alone.
    shape: of the input that was tried, channels first. seams: where chunks met.
    structure: whether no layer reads ahead by its definition, each being one of mediaconv.nn or torch, or no
        edge of the module's captured graph does.
    covered: at which cuts of which inputs nothing was found. rounded: whether later inputs change the last
        bits of earlier outputs.
    tried: False where the module is too large to be run: what is said follows from the formula alone.
    """

    causal: bool
    lookahead: int | None
    unit: str
    formula: int | None
    known: bool
    by: dict[str, int | None]
    shape: tuple[int, ...]
    seams: tuple[int, ...]
    structure: bool = False
    covered: Coverage = field(default_factory=Coverage)
    rounded: bool = False
    tried: bool = True
    leaks: list[Leak] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether the measured number is the formula's."""
        return not self.known or self.lookahead == self.formula


def prove(
    module: nn.Module,
    *,
    channels: int,
    dims: int,
    order_axes: Sequence[int] = (0,),
    axis_names: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    seconds: float = 1.0,
    exact: bool = False,
) -> Proof:
    """Decide by gradient and by perturbation whether any output of a module reads a later input.

    channels, dims: of the input, (1, channels, ...) with `dims` axes after the channels.
    order_axes: the axis that is time; or all axes, for reading order.
    axis_names: of all axes, for the report.
    labels: what the layers are called, by their path in the module ("0.layers.1").
    seconds: how long cuts are tried at inputs of growing length, where nothing later was found by then.
    exact: whether outputs of which later inputs change the last bits alone (an FFT) are not causal.

    Raises UsageError where no input was found that the module takes.

    >>> from mediaconv.nn import CausalConv1d, Conv1d
    >>> prove(CausalConv1d(1, 1, 5), channels=1, dims=1).causal
    True
    >>> prove(Conv1d(1, 1, 5, padding="same"), channels=1, dims=1).lookahead
    2
    """
    names = list(axis_names) or [f"axis {i}" for i in range(dims)]
    probed = ProbeShape(channels, dims, tuple(order_axes), exact)
    with one_thread():
        given, module = module, exact_copy(module)
        if too_large(module, probed):
            return _by_formula(module, probed, names, labels or {})
        module = exact_copy(as_tried(given, probed))
        by_definition = by_layers(module, probed)
        trial = measured(
            module,
            probed,
            seconds=seconds,
            proven=lambda shape: by_definition or by_graph(module, probed, shape),
        )
        reads = trial.reads
        ahead, axis = first_ahead(reads, probed)
        formula, known = formula_of(module, probed, reads)
        leaks = leaking_layers(module, probed, labels or {}, (ahead, formula)) if ahead != 0 else []
    if ahead != 0 and not leaks:  # too seldom for the short look at each layer
        leaks = [Leak(f"{type(module).__name__} as a whole", ahead, formula)]
    by = {method: leading(aheads) for method, aheads in reads.ahead.items()}
    proof = Proof(
        causal=ahead == 0,
        lookahead=ahead,
        unit=names[axis],
        formula=formula,
        known=known,
        by=by,
        shape=trial.shape,
        seams=trial.seams,
        structure=trial.structure and ahead == 0,
        covered=trial.covered,
        rounded=trial.rounded,
        leaks=leaks,
    )
    return replace(proof, notes=[*_notes_of_numbers(proof), *_notes_of_values(proof)])


def _by_formula(
    module: nn.Module, probed: ProbeShape, names: Sequence[str], labels: Mapping[str, str]
) -> Proof:
    """The answer for layers that are too large to be run: what they are says it."""
    ahead, axis = formula_ahead(module, probed)
    leaks = [
        Leak(label_of(name, layer, labels), own, own)
        for name, layer, steps in (noncausal_layers(module, axis) if ahead != 0 else [])
        for own in [None if math.isinf(steps) else int(steps)]
    ]
    note = "too large to be run: told by the layers' formula alone"
    if ahead != 0:
        note += ", which counts weights that are zero too"
    return Proof(
        causal=ahead == 0,
        lookahead=ahead,
        unit=names[axis],
        formula=ahead,
        known=True,
        by={},
        shape=(),
        seams=(),
        structure=ahead == 0,
        tried=False,
        leaks=leaks,
        notes=[note],
    )


def _notes_of_numbers(proof: Proof) -> list[str]:
    """What a reader should know where the numbers differ."""
    if proof.agrees:
        return []
    formula = "to the end" if proof.formula is None else str(proof.formula)
    measured = "to the end" if proof.lookahead is None else str(proof.lookahead)
    if proof.lookahead is None or (proof.formula is not None and proof.lookahead > proof.formula):
        return [f"measured {measured}, but the layers claim {formula}: a layer reads more than it says"]
    return [
        f"measured {measured}, the formula allows {formula}: the weights that would read further are zero, "
        "or the layer does not use all that it may"
    ]


def _notes_of_values(proof: Proof) -> list[str]:
    """What a reader should know of dependences that are no reading of finite values."""
    notes = []
    if proof.rounded:
        notes.append(
            "later inputs change the last bits of earlier outputs: rounding, which falls with the precision; "
            "with --exact this counts as reading"
        )
    if proof.covered.hidden:
        notes.append(
            "later inputs meet a weight or mask of zero, which hides what is finite: NaN and infinity pass"
        )
    elif proof.covered.not_finite:
        notes.append("only NaN or infinity shows it: a later input is multiplied by zero, or tested")
    return notes
