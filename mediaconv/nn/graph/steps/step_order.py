"""Which of a captured graph's steps run, when their values are dropped, and which run as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediaconv.nn.graph.steps.graph_step import Local, Step


def live_steps(steps: Sequence[Step], kept: int, x: int) -> list[Step]:
    """Without the steps that nothing reads; each of the others is told which slots it reads last.

    kept: the slot of the output. x: that of the input.
    """
    used, live = {kept}, []
    for step in reversed(steps):
        outs = set(step.writes())
        if not outs & used:
            continue
        reads = set(step.reads())
        step.frees = tuple(sorted((reads | outs) - used - {kept}))
        used |= reads
        live.append(step)
    live.reverse()
    made = {x, *(slot for step in live for slot in step.writes())}
    for step in live:
        step.stateful = step.fresh() is not None
        step.frees = tuple(slot for slot in step.frees if slot in made)  # constants stay where they are
    return live


def chained(steps: Sequence[Step], names: dict[str, Any]) -> list[Step]:
    """The steps, with operations at one position that follow one another as one step.

    names: what the generated source of the steps may name.
    """
    out: list[Step] = []
    run: list[Local] = []
    for step in [*steps, None]:
        if isinstance(step, Local) and (
            not run or step.guard == run[0].guard or step.guard in {s.out for s in run}
        ):
            run.append(step)
            continue
        if run:
            out.append(_one_step(run, names) if len(run) > 1 else run[0])
            run = []
        if isinstance(step, Local):
            run.append(step)
        elif step is not None:
            out.append(step)
    return out


def _one_step(steps: Sequence[Local], names: dict[str, Any]) -> Local:
    """Operations one after the other as the statements of one generated function."""
    lines = []
    for step in steps:
        lines.append(f"e[{step.out}] = {step.function.code}")  # type: ignore[attr-defined]
        lines += (f"e[{slot}] = None" for slot in step.frees if slot != steps[-1].out)
    lines.append(f"return e[{steps[-1].out}]")
    scope: dict[str, Any] = {}
    exec("def chain(e, N, T, D):\n" + "\n".join(f"    {line}" for line in lines), names, scope)
    return Local(steps[-1].out, scope["chain"], steps[0].guard)
