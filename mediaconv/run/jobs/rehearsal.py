"""What can be told of a run before it: whether inputs open and its stack builds for them. Computes nothing.

A configuration that is right key by key may still not fit its input, its weights or itself: channels that
groups do not divide, branches of unequal strides, weights of another shape, a layout that does not hold them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from mediaconv.config import RunConfig
from mediaconv.config.run_config import render
from mediaconv.errors import MediaconvError, ReadError, UsageError
from mediaconv.layers import walk
from mediaconv.pipeline import Pipeline, SourceInfo, find
from mediaconv.run.jobs.discover import discover
from mediaconv.run.jobs.plan import make_plan
from mediaconv.run.output.storage import is_remote, open_store
from mediaconv.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from mediaconv.engine.computation import Computation

_ANY_RATE_HZ = 2.0**30
"""Stands for a rate that is not known: no cut-off in Hz reaches it."""
_MOST_OPENED = 16
"""Inputs that are looked at, of those the first by name."""


@dataclass(frozen=True)
class Rehearsal:
    """What was found right: `channels` of the input and of the output, where the stack could be built.

    unchecked: what could not be checked, and why, a line each.
    faults: inputs that a run would fail on, and why, a line each.
    notes: on the stack, as a run tells them of each input: what a model holds to the end.
    """

    channels: tuple[int, int] | None
    unchecked: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def rehearse(config: RunConfig, *, channels: int | None = None, alone: bool = False) -> Rehearsal:
    """Build the stack of a run for its first inputs, or for the channels that its first layer states.

    channels: of inputs, where there are none to look at. alone: there are none, and the stack is looked at.
    Raises UsageError: what would end the run, or fail every file that was looked at.
    """
    pipeline = find(config.pipeline)
    if channels is not None and channels < 1:
        raise UsageError(f"channels: got {channels}, expected an integer >= 1")
    try:
        paths, missing = ([], "no input is named") if alone else _inputs(config, pipeline)
        if missing:
            return _without_input(config, pipeline, missing, channels)
        return _with_inputs(config, pipeline, paths)
    except UsageError:
        raise
    except (MediaconvError, ValueError) as error:
        raise UsageError(str(error)) from error


def _inputs(config: RunConfig, pipeline: Pipeline) -> tuple[list[Path], str]:
    """All inputs, or why there are none here.

    Raises UsageError where outputs would lie on inputs, or a URL's scheme is not known.
    """
    for url in filter(is_remote, (config.output, config.input)):
        with suppress(OSError):
            open_store(url)
    try:
        listing = discover(config, pipeline)
    except UsageError as error:
        return [], str(error)
    if not listing.inputs:
        return [], f"input: {config.input} holds nothing for the pipeline {pipeline.name} yet"
    jobs = make_plan(config, pipeline, listing=listing)
    if jobs[0].input_url:
        return [], f"{jobs[0].input_url} is not fetched to be validated"
    return [job.input for job in jobs], ""


@dataclass(frozen=True)
class _Opened:
    """What the first inputs told. channels: in and out of the first that fits. unread: errors of reading."""

    channels: tuple[int, int] | None
    unread: tuple[str, ...]
    misfits: dict[Path, MediaconvError | ValueError]
    notes: tuple[str, ...]


def misfits(config: RunConfig, paths: Sequence[Path]) -> dict[Path, MediaconvError | ValueError]:
    """Those of the first inputs whose channels, rate or length the stack does not take, and why.

    Raises UsageError where it takes none of them.
    """
    opened = _opened(config, find(config.pipeline), paths)
    if opened.channels is None and opened.misfits:
        raise UsageError(str(next(iter(opened.misfits.values()))))
    return opened.misfits


def _opened(config: RunConfig, pipeline: Pipeline, paths: Sequence[Path]) -> _Opened:
    """Open the first inputs; the stack is built once for each number of channels and rate among them."""
    channels: tuple[int, int] | None = None
    unread: list[str] = []
    unfit: dict[Path, MediaconvError | ValueError] = {}
    notes: list[str] = []
    known: dict[tuple[int, Fraction | None], Computation | MediaconvError | ValueError] = {}
    for path in paths[:_MOST_OPENED]:
        try:
            with pipeline.open(path, config.read, config.limits) as source:
                info = source.info
        except ReadError as error:
            unread.append(str(error))
            continue
        kind = info.channels, info.rate
        try:
            if kind not in known:
                known[kind] = _computation(config, pipeline, info)
            computation = known[kind]
            if isinstance(computation, Exception):
                raise computation
            fits = _fits(config, pipeline, info, computation)
            notes += computation.notes
            channels = channels or fits
        except (MediaconvError, ValueError) as error:
            known.setdefault(kind, error)
            unfit[path] = error
    return _Opened(channels, tuple(unread), unfit, tuple(dict.fromkeys(notes)))


def _with_inputs(config: RunConfig, pipeline: Pipeline, paths: Sequence[Path]) -> Rehearsal:
    opened = _opened(config, pipeline, paths)
    if opened.channels is None and opened.misfits:
        raise next(iter(opened.misfits.values()))
    faults = (*opened.unread, *(f"{path}: {error}" for path, error in opened.misfits.items()))
    more = len(paths) - _MOST_OPENED
    unopened = (f"the other {more} of {len(paths)} inputs",) if more > 0 else ()
    if opened.channels is not None:
        return Rehearsal(opened.channels, unopened, faults, opened.notes)
    alone = _without_input(config, pipeline, opened.unread[0], None)
    return Rehearsal(alone.channels, (*alone.unchecked, *unopened), faults[1:], alone.notes)


def _computation(config: RunConfig, pipeline: Pipeline, info: SourceInfo) -> Computation:
    """The stack for inputs of these channels; on the CPU, for the device may be that of another machine."""
    from mediaconv.engine.computation import computation_of

    return computation_of(config.model_copy(update={"device": "cpu"}), pipeline, info)


def _fits(
    config: RunConfig, pipeline: Pipeline, info: SourceInfo, computation: Computation
) -> tuple[int, int]:
    """Everything of a run but its samples: the length of an input is asked, too."""
    output = computation.output_info(info)
    with temporary_folder() as folder:
        pipeline.create(folder, info, output, config.write).abort()
    return info.channels, output.channels


def _without_input(config: RunConfig, pipeline: Pipeline, reason: str, channels: int | None) -> Rehearsal:
    from mediaconv.model.build import build_stack
    from mediaconv.model.stand_in import assumed_rate_hz
    from mediaconv.model.weights import load_weights
    from mediaconv.nn.streaming.protocol import output_channels

    channels = channels or getattr(config.stack[0], "in_channels", None)
    if channels is None:
        if config.weights is not None:
            weights = config.weights
            load_weights(weights.file, key=weights.key, prefix=weights.prefix)
        _check_files(config)
        hint = "give an input, --channels, or in_channels in the first layer"
        return Rehearsal(None, (f"whether the layers fit each other ({reason}; {hint})",))
    rate = getattr(config.read, "sample_rate", None)
    rate_hz = float(rate or assumed_rate_hz(config, pipeline, channels, _ANY_RATE_HZ))
    stack = build_stack(config, pipeline, channels=channels, rate_hz=rate_hz)
    unchecked = [f"whether the stack fits its input ({reason})"]
    if rate is None and any(spec.needs_rate for _, spec in walk(config.stack)):
        unchecked.append("cut-offs in Hz (the rate of the sound is not known)")
    notes = dict.fromkeys(note for part in stack.modules() for note in getattr(part, "notes", ()))
    return Rehearsal((channels, output_channels(stack, channels)), tuple(unchecked), notes=tuple(notes))


def _check_files(config: RunConfig) -> None:
    """Read the files that layers name, where the stack is not built. Raises UsageError naming the layer."""
    for path, spec in walk(config.stack):
        try:
            spec.check_files()
        except UsageError as error:
            raise UsageError(f"{render((*path, spec.name))}: {error}") from None
