"""What a busy second core costs: 720p film through the fused step on two threads, beside one call of torch.

python -m benchmarks.busy_core

By the clock, for that is what another program takes away; the least of several runs in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.table import Table
from mediaconv.compute.fused import fused_plan
from mediaconv.compute.normalize import make_normalizer
from mediaconv.media.samples import SampleFormat
from mediaconv.nn import Conv3d, Sequential

FRAMES, SIZE = 16, (720, 1280)
TURNS = 7
GOAL, LIMIT = 1.2, 1.8
"""Of what ours loses to what torch loses."""


@contextmanager
def busy_core() -> Iterator[None]:
    """Another process that never waits, on the last of the cores."""
    core = max(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait()


def least(acts: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds by the clock of each, in turn with the others."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(TURNS):
        for name, act in acts.items():
            began = time.perf_counter()
            act()
            times[name].append((time.perf_counter() - began) * 1000)
    return {name: min(values) for name, values in times.items()}


def fused_step() -> Callable[[], None]:
    """The fused step over `FRAMES` frames, from stored samples to stored samples: nothing is decoded."""
    module = Sequential(Conv3d(3, 4, 3, padding=1)).eval()
    normalizer = make_normalizer("sigmoid", signal_range=(0.0, 1.0))
    plan = fused_plan(module, normalizer=normalizer, sample_format=SampleFormat(8), scale=255.0)
    if plan is None:
        raise RuntimeError("this processor cannot run the fused step")
    raw = np.random.default_rng(0).integers(0, 256, (FRAMES, *SIZE, 3), np.uint8)

    def act() -> None:
        step = plan.step()
        step.push(raw)
        step.flush()

    return act


def measure() -> list[Table]:
    """The table."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    plain: Any = nn.Conv3d(3, 4, 3, padding=1).eval()
    plain = plain.to(memory_format=torch.channels_last_3d)  # an overload that torch leaves out of its types
    x = torch.rand(1, 3, FRAMES, *SIZE).contiguous(memory_format=torch.channels_last_3d)
    acts: dict[str, Callable[[], object]] = {
        "the fused step, with normalization and rounding": fused_step(),
        "`conv3d` of torch, channels last": lambda: plain(x),
    }
    with torch.inference_mode():
        least(acts)  # compiles, and takes the memory
        alone = least(acts)
        with busy_core():
            beside = least(acts)
    torch.set_num_threads(threads)
    loses = {name: beside[name] / alone[name] for name in acts}
    rows = [
        [name, f"{alone[name]:.0f}", f"{beside[name]:.0f}", f"{loses[name]:.2f}", f"{FRAMES} frames"]
        for name in acts
    ]
    own, others = loses.values()
    rows.append(["ours to torch's", "", "", f"{own / others:.2f}", f"goal {GOAL}, limit {LIMIT}"])
    columns = ["", "alone, ms", "beside it, ms", "times as long", ""]
    note = (
        "Milliseconds by the clock on two threads, the least of several runs in turn; another process spins."
    )
    faults = ["a busy second core"] if own / others > LIMIT else []
    return [Table("A busy second core, 1280x720.", note, columns, rows, faults)]


if __name__ == "__main__":
    print("\n\n".join(table.markdown() for table in measure()))
