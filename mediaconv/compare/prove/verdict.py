"""Whether a configuration is causal: its stack measured, its files compared, one verdict for both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from mediaconv.compare.prove.file_to_file import FileProof, prove_files
from mediaconv.compare.prove.function_reads.reads import Order
from mediaconv.compare.prove.module_proof.attribution import Leak
from mediaconv.compare.prove.module_proof.search import Proof, prove
from mediaconv.config import RunConfig
from mediaconv.config.run_config import render
from mediaconv.engine.computation import Computation, computation_of
from mediaconv.errors import MediaError, ReadError, UsageError
from mediaconv.layers import walk
from mediaconv.layers.construct import iter_bound_layers
from mediaconv.layers.layer_spec import CausalLayer
from mediaconv.layers.model import Model
from mediaconv.model.stand_in import stand_in
from mediaconv.nn.layers.gates import Gated
from mediaconv.nn.streaming.protocol import axis_map
from mediaconv.nn.summary.fitting_length import fitting_length
from mediaconv.pipeline import Pipeline, SourceInfo
from mediaconv.run.jobs.discover import find_inputs

TRIED = 5
"""Inputs that are tried before it is given up to read one."""


@dataclass(frozen=True)
class Verdict:
    """The answer for a configuration. lookahead: steps of `unit`; None: to the end of the file.

    formula: what the geometry says of the stack, None: to the end, or unknown. leaks: who reads ahead.
    """

    causal: bool
    lookahead: int | None
    unit: str
    formula: int | None
    stack: Proof
    files: FileProof | None
    leaks: list[Leak] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For programs: `causal` and `lookahead` first."""
        return {
            "causal": self.causal,
            "lookahead": self.lookahead,
            "unit": self.unit,
            "formula_look_ahead": self.formula,
            "agrees": self.lookahead == self.formula or not self.stack.known,
            "leaks": self.leaks,
            "stack": {"causal": self.stack.causal, "lookahead": self.stack.lookahead, **self._methods()},
            "files": self.files,
            "notes": self.notes,
        }

    def _methods(self) -> dict[str, Any]:
        stack = self.stack
        return {
            "methods": stack.by,
            "input_shape": stack.shape,
            "chunk_seams": stack.seams,
            "proven_by_structure": stack.structure,
            "tried": stack.tried,
            "cuts": stack.covered.as_json(),
            "rounding": stack.rounded,
        }


def prove_config(
    config: RunConfig, pipeline: Pipeline, *, files: bool = True, seconds: float = 1.0, exact: bool = False
) -> Verdict:
    """Decide whether any output of a configuration depends on a later input.

    files: also from file to file, through the real pipeline.
    seconds, exact: as of `search.prove`.
    Raises UsageError where the configuration cannot be built.
    """
    source, info = first_input(config, pipeline)
    model = computation_of(config, pipeline, info)
    proof = prove_model(model, config, pipeline, info, seconds=seconds, exact=exact)
    axes = order_axes(config, pipeline)
    files_proof = None
    if files and proof.tried:
        order = Order(axes, tuple(axis_map(model.module, a).total_stride for a in axes))
        reach = axis_map(model.module, axes[0]).receptive_field
        try:
            files_proof = prove_files(
                config,
                pipeline,
                order,
                source=source,
                channels=info.channels,
                reach=64 if math.isinf(reach) else int(reach),
                fits=lambda axis, n: fitting_length(model.module, axis, n) == n,
            )
        except MediaError as error:
            raise UsageError(f"file to file could not be tried: {error.stage}: {error}") from error
    verdict = _verdict(config, proof, files_proof, pipeline)
    if files and files_proof is None:
        why = f"no lossless {pipeline.name} input can be written here" if proof.tried else "too large"
        verdict.notes.append(f"file to file was not tried: {why}")
    return verdict


def judge_model(model: Computation, config: RunConfig, pipeline: Pipeline, info: SourceInfo) -> Verdict:
    """The verdict on a configuration whose model is made for an input, without files."""
    return _verdict(config, prove_model(model, config, pipeline, info), None, pipeline)


def prove_model(
    model: Computation,
    config: RunConfig,
    pipeline: Pipeline,
    info: SourceInfo,
    *,
    seconds: float = 1.0,
    exact: bool = False,
) -> Proof:
    """The proof of a configuration's stack, prelude included, layers called by their place in the file."""
    return prove(
        model.module,
        channels=info.channels,
        dims=len(pipeline.axes),
        order_axes=order_axes(config, pipeline),
        axis_names=pipeline.step_units,
        labels=_labels(config, model.module, prelude=pipeline.prelude(info, config.read) is not None),
        seconds=seconds,
        exact=exact,
    )


def order_axes(config: RunConfig, pipeline: Pipeline) -> tuple[int, ...]:
    """Which axes make the order: all of them under `raster` (reading order), otherwise the one that is time.

    A standard configuration is judged by what its pipeline calls causal, or along its own `time_axis`; a
    model's causal twin along the first axis, the only one along which its windows moved.
    """
    dims = len(pipeline.axes)
    twins = any(isinstance(spec, Model) and spec.causal for _, spec in walk(config.stack))
    layers = [spec for _, spec in walk(config.stack) if isinstance(spec, CausalLayer)]
    default = config.causality().mode if config.causality() else pipeline.causal_mode
    modes: list[str] = ["pad"] if twins else []
    modes += [how.mode for how in map(config.causality, layers) if how]
    stated = max((spec.time_axis for spec in layers), default=config.time_axis)
    if not modes and stated:
        return (stated,)
    modes = modes or [default]
    if "raster" in modes and dims > 1:
        return tuple(range(dims))
    axes = {spec.time_axis for spec in layers if config.causality(spec)} or {0 if twins else config.time_axis}
    return (max(axes),)


def first_input(config: RunConfig, pipeline: Pipeline) -> tuple[Path | None, SourceInfo]:
    """The first input that can be read and what is known of it; a stand-in where there is none.

    A proof needs no input: a stand-in has the channels that the stack's first layer takes.
    """
    try:
        inputs = find_inputs(config, pipeline).inputs
    except UsageError:
        inputs = []
    for path in inputs[:TRIED]:
        try:
            with pipeline.open(path, config.read, config.limits) as opened:
                return path, opened.info
        except ReadError:
            continue
    return None, replace(stand_in(config, pipeline), shape=(None,) * len(pipeline.axes))


def _labels(config: RunConfig, module: nn.Module, *, prelude: bool) -> dict[str, str]:
    """What each layer is called in the configuration, by its path in the module."""
    paths = {id(spec): f"{render(path)}.{spec.name}" for path, spec in walk(config.stack)}
    stack, prefix = (list(module.children())[1], "1.") if prelude else (module, "")
    labels = {}
    for bound in iter_bound_layers(config.stack, stack, prefix=prefix):
        labels[bound.name] = paths[id(bound.spec)]
        if isinstance(bound.module, Gated):  # its convolution is no layer of the configuration
            labels[f"{bound.name}.conv"] = paths[id(bound.spec)]
    if prelude:
        labels["0"] = "read.sample_rate" if getattr(config.read, "sample_rate", None) else "read"
    return labels


def _verdict(config: RunConfig, proof: Proof, files: FileProof | None, pipeline: Pipeline) -> Verdict:
    """Both findings together: the later look-ahead counts."""
    leaks, notes = list(proof.leaks), list(proof.notes)
    lookahead, formula, unit = proof.lookahead, proof.formula, proof.unit
    causal = proof.causal
    if config.normalize.name == "minmax":
        causal, lookahead = False, None
        formula = None
        leaks.append(Leak("normalize.minmax (reads the whole file first)", None, None))
    if files is not None and lookahead is not None and _further(files, proof, pipeline.step_units):
        causal, lookahead, unit = False, files.lookahead, pipeline.step_units[files.axis]
        leaks.append(Leak(f"outside the stack: {_suspects(config)}", files.lookahead, None))
    return Verdict(causal, lookahead, unit, formula, proof, files, leaks, notes)


def _further(files: FileProof, proof: Proof, names: Sequence[str]) -> bool:
    """Whether the files show more look-ahead than the stack has; what it has, reading may stretch."""
    if files.causal or proof.causal:
        return not files.causal
    ahead = math.ceil((proof.lookahead or 0) * files.scale)
    return names[files.axis] == proof.unit and files.lookahead > ahead


def _suspects(config: RunConfig) -> str:
    """The `read` options that are not their defaults, which are what else may look ahead."""
    set_here = [name for name in type(config.read).model_fields if name in config.read.model_fields_set]
    return ", ".join(f"read.{name}" for name in set_here) or "reading or writing"
