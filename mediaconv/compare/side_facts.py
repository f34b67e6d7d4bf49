"""What is known of each of the two stacks, as rows for JSON and in words: proof, receptive field, latency."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mediaconv.compare.causal_pair import Side
from mediaconv.compare.measure.session import Compared
from mediaconv.compare.measure.step_times import in_words
from mediaconv.compare.prove.verdict import Verdict, judge_model
from mediaconv.counted import counted
from mediaconv.engine.computation import Computation
from mediaconv.nn.streaming.protocol import axis_map
from mediaconv.pipeline import Pipeline


def side_row(
    side: Side, role: str, compared: Compared, pipeline: Pipeline, verdicts: dict[int, Verdict]
) -> dict[str, Any]:
    """Everything known of one stack: proof, receptive field, latency."""
    model = compared.models[side.name]
    if id(model) not in verdicts:
        verdicts[id(model)] = judge_model(model, side.config, pipeline, compared.info)
    verdict = verdicts[id(model)]
    reach = reach_row(model, compared)
    unit = pipeline.step_units[compared.axis]
    return {
        "name": side.name,
        "label": side.label,
        "role": role,
        "note": "",
        "causal": verdict.causal,
        "lookahead": verdict.lookahead,
        "unit": verdict.unit,
        "methods": verdict.stack.by,
        "leaks": verdict.leaks,
        **reach,
        "verdict": verdict_text(verdict, unit),
        "reads": reads_text(reach, unit),
        "facts": facts(verdict, reach, unit),
    }


def reach_row(model: Computation, compared: Compared) -> dict[str, Any]:
    """Receptive field both ways and latency, in steps of the input; None: no end.

    `latency_ms` is the longest that an output waits, `latency_ms_range` the shortest and the longest: they
    differ where the input's frames last unequally.
    """
    along = axis_map(model.module, compared.axis)
    reads = (along.lookback, along.latency, along.receptive_field)
    back, ahead, both = (None if math.isinf(n) or model.needs_range else int(n) for n in reads)
    waits = None if ahead is None else compared.timeline.span_ms(ahead)
    return {
        "receptive_field_back": back,
        "receptive_field_ahead": ahead,
        "receptive_field": both,
        "latency_steps": ahead,
        "latency_ms": waits and waits[1],
        "latency_ms_range": waits,
        "stride": along.total_stride,
    }


def verdict_text(verdict: Verdict, unit: str) -> str:
    """The verdict in a sentence. unit: of the steps along which the two are compared."""
    if verdict.causal:
        along = "" if verdict.unit == unit else f" along {verdict.unit}"
        return f"Causal{along}: no output depends on a later input, by gradient and by perturbation."
    if verdict.lookahead is None:
        return "Not causal: its outputs depend on the whole file, to its end."
    steps = counted(verdict.lookahead, verdict.unit)
    return f"Not causal: its outputs depend on inputs up to {steps} later."


def facts(verdict: Verdict, reach: Mapping[str, Any], unit: str) -> list[str]:
    """Latency, receptive field and who looks ahead, in words."""
    sentences = [latency_text(reach, unit), reads_text(reach, unit)]
    if verdict.leaks:
        sentences.append("looking ahead: " + ", ".join(leak.layer for leak in verdict.leaks[:4]))
    return sentences


def latency_text(reach: Mapping[str, Any], unit: str) -> str:
    """The latency in steps, and in milliseconds where steps have a time."""
    steps, waits = reach["latency_steps"], reach["latency_ms_range"]
    if steps is None:
        return "latency: the whole file"
    return f"latency {counted(steps, unit)}" + (f", {in_words(waits)}" if waits else "")


def over_files(known: dict[str, Any], row: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """A side's row for several inputs: where their rates differ, the same steps last a range of milliseconds.

    known: of the inputs so far. row: of one more. Of inputs that differ in steps the first one's row stays.
    """
    spans = known["latency_ms_range"], row["latency_ms_range"]
    if None in spans or known["latency_steps"] != row["latency_steps"]:
        return known
    least, most = min(spans[0][0], spans[1][0]), max(spans[0][1], spans[1][1])
    widened = {**known, "latency_ms": most, "latency_ms_range": (least, most)}
    return {**widened, "facts": [latency_text(widened, unit), *known["facts"][1:]]}


def reads_text(reach: Mapping[str, Any], unit: str) -> str:
    """The receptive field, both ways, in words."""
    back, ahead = reach["receptive_field_back"], reach["receptive_field_ahead"]
    before = f"all {unit}" if back is None else counted(back, unit)
    after = "all" if ahead is None else f"{ahead:,}"
    return f"an output reads {before} before its own and {after} after it"
