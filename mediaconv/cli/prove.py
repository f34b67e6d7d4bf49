"""`mediaconv prove`: whether any output of a configuration depends on a later input. Exit code 0 or 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaconv.cli.options import (
    ConfigArgument,
    InputOption,
    JsonOption,
    OutputOption,
    QuietOption,
    StackOptions,
)
from mediaconv.cli.waiting import waiting

if TYPE_CHECKING:
    from mediaconv.compare.prove.module_proof.search import Proof
    from mediaconv.compare.prove.verdict import Verdict
    from mediaconv.config import RunConfig


def prove(
    config: ConfigArgument = None,
    input: InputOption = None,
    output: OutputOption = None,
    replacing: StackOptions = StackOptions(),
    files: Annotated[bool, typer.Option("--files/--no-files", help="also from file to file")] = True,
    seconds: Annotated[
        float, typer.Option(min=0, max=86400, help="try inputs of growing length for so long")
    ] = 5.0,
    exact: Annotated[bool, typer.Option("--exact", help="rounding (other last bits) is reading")] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Prove that a configuration is causal, or show how far it looks ahead and which layer does it.

    Exit code 0: no output depends on a later input. 1: one does. `stack` is enough: no input need exist.
    """
    name = replacing.subject("prove", config)
    resolved = _resolved(config, replacing, input, output)
    from mediaconv.compare.prove.verdict import Verdict
    from mediaconv.front import prove as prove_config
    from mediaconv.web.json_values import dumps

    with waiting("trying inputs", quiet=quiet):
        verdict = prove_config(resolved, files=files, seconds=seconds, exact=exact)
    assert isinstance(verdict, Verdict)
    if json:
        print(dumps(verdict.as_json()))
    elif not quiet:
        print(_text(name, verdict))
    return 0 if verdict.causal else 1


def _resolved(
    config: str | None, replacing: StackOptions, input: str | None, output: str | None
) -> RunConfig:
    """The configuration; one that is to be causal need not be so."""
    from mediaconv.config import load_config
    from mediaconv.guide.stack_only import load_model_only, what_is_missing

    keys: dict[str, Any] = {"overrides": replacing.overrides(), "input": input, "output": output}
    if config is None:
        return load_model_only(str(replacing.model), refuse_leaks=False, **keys)
    return load_config(Path(config), refuse_leaks=False, fill=what_is_missing(input=input), **keys)


def _text(config: str, verdict: Verdict) -> str:
    """The answer and how it was found, a line each."""
    unit = verdict.unit
    if verdict.causal:
        lines = [f"{config}: causal: no output depends on a later input"]
    else:
        lines = [f"{config}: not causal: looks ahead {_count(verdict.lookahead, unit)}"]
    stack = verdict.stack
    for method, steps in stack.by.items():
        shown = "nothing later is read" if not steps else f"reads {_count(steps, unit)} ahead"
        lines.append(f"  by {method + ':':14}{shown}")
    if verdict.causal:
        lines.append(f"  {_covered(stack, unit)}")
    if stack.known and stack.tried:
        agrees = "agrees" if stack.agrees else "differs"
        lines.append(f"  by the formula: {_count(stack.formula, unit)}: {agrees}")
    files = verdict.files
    if files is not None:
        what = "nothing written before a change differs"
        if not files.causal:
            what = f"differs up to {_count(files.lookahead, unit)} before a change"
        where = f", cut from {files.input}" if files.input else ", of noise"
        lines.append(f"  file to file:  {what} ({len(files.changes)} changes{where})")
    for leak in verdict.leaks:
        reads = _count(leak.lookahead, "steps", end="the end")
        lines.append(f"  looks ahead:   {leak.layer}, {reads} of its own input")
    lines += [f"  note: {note}" for note in verdict.notes]
    return "\n".join(lines)


def _covered(stack: Proof, unit: str) -> str:
    """What the verdict rests on: the layers' own structure, or what was tried."""
    structure = "proven by structure: nothing in it reads ahead"
    covered = stack.covered
    if not stack.tried or not covered.positions:
        return structure if stack.structure else "nothing later was found; no cut was tried: time ran out"
    which = f"every one of {covered.positions:,}"
    if covered.positions < covered.cuts:
        which = f"{covered.positions:,} of the {covered.cuts:,}"
    tried = f"at {which} cuts of an input of {_count(covered.steps, unit)}"
    if covered.kinds < covered.all_kinds:
        tried += f", with {covered.kinds} of {covered.all_kinds} kinds of later values (time ran out)"
    if covered.near:
        near = _count(covered.near, "steps")
        tried += f", nor within {near} of any place in {_count(covered.near_steps, unit)}"
    if covered.length > covered.steps:
        tried += f", and at some of up to {_count(covered.length, unit)}"
    if covered.side:
        tried += f", or {covered.side} along the other axes"
    if stack.structure:
        return f"{structure}; also not found {tried}"
    return f"not found {tried}: no proof beyond that"


def _count(steps: int | None, unit: str, *, end: str = "the end of the file") -> str:
    from mediaconv.counted import counted

    return f"to {end}" if steps is None else counted(steps, unit)
