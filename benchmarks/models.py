"""Captured models beside the call on the whole, their own streaming caches and torchstream: time and memory.

python -m benchmarks.models           # five minutes; no network: random weights, widths near the published

Chunks are one receptive field long (a fixed number where a model reads all the past). Same weights, same
input, one process, one thread; results are compared before anything is timed. Times are of the processor, the
least of several runs in turn. Memory is what a process that has captured the model and computed nothing holds
at most above what it held before, the least of several such processes.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.measured_ratio import COLUMNS, Ratio
from benchmarks.memory import in_fork, peak_growth
from benchmarks.published import MODELS, Model, Run
from benchmarks.table import Table
from mediaconv.nn import Stream, stream, to_streaming

WHOLE_LIMIT, CACHE_LIMIT, WINDOWS_LIMIT = 1.3, 1.0, 1.0
"""Of a captured model's stream to its whole call, its own cache and torchstream: the goals too."""
WEIGHTS_LIMIT = 2.4
"""Of it to the whole call where a chunk is a few positions deep in the model, so that reading the weights,
once a chunk and not once in all, is most of the work."""
SECONDS = 6.0
"""For the timing of one model."""
TURNS = 3, 25
"""Least and most turns of one model."""
TOLERANCE = 1e-5
"""Relative to the largest absolute value: float32 summed in another order."""
LONGER = 3
"""How many times as long the second input of the memory table is."""
HELD_TURNS = 3
"""Runs of which each figure of the memory table is the least, each in a process of its own."""
SPARE = 2**24
"""Bytes by which the memory of a stream over the longer input may exceed half more than over the short."""


def ours(module: nn.Module, chunk: int) -> Run:
    """mediaconv.nn: push and flush."""

    def run(x: Tensor) -> Iterator[Tensor]:
        s = stream(module)
        for piece in x.split(chunk, 2):
            yield s.push(piece)
        yield s.flush()

    return run


def whole(module: nn.Module) -> Run:
    """One call."""

    def run(x: Tensor) -> Iterator[Tensor]:
        yield module(x)

    return run


def windows(module: nn.Module, s: Stream, chunk: int, shape: tuple[int, ...]) -> Run:
    """torchstream: overlapping windows. It is told the window that was found here."""
    from torchstream import SeqSpec, SlidingWindowParams, SlidingWindowStream

    stride, lookback, latency = int(s.stride), int(s.lookback), int(s.latency)
    reach, length = lookback + latency + 1, 64 * stride * 8
    right = (s.output_length(length) - 1) * stride + reach - length - lookback
    parameters = SlidingWindowParams(reach, stride, lookback, max(0, right))
    spec = SeqSpec(*(-1 if d == 2 else n for d, n in enumerate(shape)))
    with torch.no_grad():
        y = module(torch.zeros(shape))
    after = SeqSpec(*(-1 if d == 2 else n for d, n in enumerate(y.shape)))

    def run(x: Tensor) -> Iterator[Tensor]:
        for y in SlidingWindowStream(module, parameters, spec, after).forward_in_chunks_iter(
            x, chunk_size=chunk
        ):
            yield y.data[0]

    return run


def check_equal(name: str, output: Tensor, expected: Tensor) -> None:
    """Raise RuntimeError for a contender whose output is not the module's own."""
    if output.shape != expected.shape:
        raise RuntimeError(f"{name} gives {tuple(output.shape)}, the module {tuple(expected.shape)}")
    error = float((output - expected).abs().max() / expected.abs().max())
    if not error <= TOLERANCE:
        raise RuntimeError(f"{name} differs from the module by {error:.1e} of the largest value")


def consume(run: Run, x: Tensor) -> None:
    """Run to the end; an output is dropped when the next one has come, as a consumer does."""
    for _ in run(x):
        pass


def in_turn(contenders: dict[str, Run], x: Tensor) -> dict[str, float]:
    """The least processor milliseconds of each, in turn with the others."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    began = time.perf_counter()
    least, most = TURNS
    for turn in range(most):
        if turn >= least and time.perf_counter() - began > SECONDS:
            break
        for name, run in contenders.items():
            start = time.process_time()
            consume(run, x)
            times[name].append((time.process_time() - start) * 1000)
    return {name: min(each) for name, each in times.items()}


@dataclass(frozen=True)
class Prepared:
    """One model, captured, and what it is compared with. x: the input; longer: `LONGER` times as long."""

    chunk: int
    contenders: dict[str, Run]
    module: nn.Module
    x: Tensor
    longer: Tensor


Held = dict[str, tuple[int, int]]
"""Bytes by contender, for the input and the longer one."""


@dataclass(frozen=True)
class Measured:
    """What came of one model: milliseconds by contender, and what they hold."""

    model: Model
    chunk: int
    times: dict[str, float]
    held: Held

    def ratios(self) -> list[Ratio]:
        """Ours beside each contender."""
        name, t = f"{self.model.name}, {self.chunk:,} of {self.model.length:,}", self.times
        limit = WEIGHTS_LIMIT if self.model.weights_count else WHOLE_LIMIT
        ratios = [Ratio(name, t["ours"], "the whole call", t["whole"], limit, goal=WHOLE_LIMIT)]
        if "own" in t:
            beside = t.get("ours, as it", t["ours"])
            work = f"{self.model.name}, {self.model.own_chunk:,}" if self.model.own_chunk else name
            ratios.append(Ratio(work, beside, self.model.own_name, t["own"], CACHE_LIMIT, goal=CACHE_LIMIT))
        if "windows" in t:
            ratios.append(
                Ratio(name, t["ours"], "torchstream", t["windows"], WINDOWS_LIMIT, goal=WINDOWS_LIMIT)
            )
        return ratios


def prepared(model: Model) -> Prepared:
    """Build and capture one."""
    torch.manual_seed(0)
    module = model.build().eval()
    for p in module.parameters():
        p.requires_grad_(False)
    graph = to_streaming(module, example=torch.randn(model.example))
    s = stream(graph)
    period = s.map.input_period
    chunk = model.chunk or max(period, int(s.receptive_field) // period * period)
    shape = tuple(model.length if d == 2 else n for d, n in enumerate(model.example))
    x = torch.randn(shape)
    contenders = {"whole": whole(module), "ours": ours(graph, chunk)}
    if model.own:
        contenders["own"] = model.own(module, model.own_chunk or chunk)
        if model.own_chunk:
            contenders["ours, as it"] = ours(graph, model.own_chunk)
    if model.window:
        contenders["windows"] = windows(module, s, chunk, shape)
    longer = torch.cat([x] * LONGER, 2)[:, :, : LONGER * (model.length - model.first) + model.first]
    return Prepared(chunk, contenders, module, x, longer)


def timed(model: Model) -> tuple[int, dict[str, float]]:
    """Compare the outputs of one, and time it: steps of a chunk, and milliseconds by contender."""
    p = prepared(model)
    expected = p.module(p.x)
    for name, run in p.contenders.items():
        check_equal(f"{model.name}: {name}", torch.cat(list(run(p.x)), 2), expected)
    del expected
    return p.chunk, in_turn(p.contenders, p.x)


def held(model: Model) -> Held:
    """What each contender of one holds. To be called in a process that has computed nothing yet."""
    p = prepared(model)
    return {
        name: (
            peak_growth(lambda: consume(run, p.x), turns=HELD_TURNS),  # noqa: B023
            peak_growth(lambda: consume(run, p.longer), turns=HELD_TURNS),  # noqa: B023
        )
        for name, run in p.contenders.items()
        if name != "ours, as it"
    }


def measure() -> list[Table]:
    """Time and memory of every model."""
    results = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            kept = [in_fork(partial(held, model)) for model in MODELS]  # before anything is timed here
            for model, holds in zip(MODELS, kept, strict=True):
                results.append(Measured(model, *timed(model), holds))
                print(model.name, {k: round(v) for k, v in results[-1].times.items()}, file=sys.stderr)
    finally:
        torch.set_num_threads(threads)
    return [_times(results), _memory(results)]


def _times(results: list[Measured]) -> Table:
    ratios = [ratio for r in results for ratio in r.ratios()]
    note = (
        "Steps a push and of the whole input. Processor milliseconds, one thread, the least of several runs "
        "in turn; a ratio over its limit is a fault."
    )
    columns = ["model, steps", *COLUMNS[1:]]
    faults = [f"{r.work} beside {r.other}: {r.value:.2f}" for r in ratios if r.value > r.limit]
    return Table(
        "Captured models in chunks of one receptive field.",
        note,
        columns,
        [r.cells() for r in ratios],
        faults,
    )


def _memory(results: list[Measured]) -> Table:
    rows, faults = [], []
    for r in results:
        pairs = [r.held.get(name) for name in ("whole", "ours", "own", "windows")]
        rows.append([r.model.name, *(" / ".join(f"{n / 2**20:,.0f}" for n in p) if p else "" for p in pairs)])
        short, long = r.held["ours"]
        if long > 1.5 * short + SPARE:
            faults.append(f"{r.model.name}: memory grows with the length")
    note = (
        f"MiB above those of a process that has captured the model and computed nothing, at most: for the "
        f"input / for one {LONGER} times as long. The least of {HELD_TURNS} processes."
    )
    columns = ["model", "the whole call", "ours", "its own cache", "torchstream"]
    return Table("What they hold.", note, columns, rows, faults)


if __name__ == "__main__":
    tables = measure()
    for shown in tables:
        print(shown.markdown(), end="\n\n")
        print(*shown.faults, sep="\n", file=sys.stderr)
    sys.exit(any(table.faults for table in tables))
