"""The layers, streamed: ours beside continual-inference, pytorch-tcn and plain torch on the whole.

python -m benchmarks.layers

Same weights, same input, one process; results are compared before anything is timed. Runs of all contenders
alternate, and a ratio is the median of the ratios within one turn, so that a busy machine harms all alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import continual  # type: ignore[import-untyped]
import torch
from pytorch_tcn.conv import TemporalConv1d  # type: ignore[import-untyped]
from torch import Tensor, nn

from benchmarks.measured_ratio import COLUMNS as RATIO_COLUMNS
from benchmarks.measured_ratio import Ratio, least
from benchmarks.table import Table
from mediaconv.nn import CausalConv1d, Conv3d, Sequential, stream

TOLERANCE = 1e-6
"""Relative to the largest absolute value: float32 summed in another order."""
FILM_SHAPE = (1, 3, 32, 720, 1280)
FILM_CHUNKS = (1, 16)
FILM_TURNS = 5
FILM_GOAL, FILM_LIMIT = 1.1, 1.6
"""Of film that is channels last, to one call of torch; the limit is of processor time."""
SOUND_SAMPLES = 49152
SOUND_CHUNKS = (256, 4096)
SOUND_TURNS = 15
CHANNELS = 32
DILATIONS = (1, 2, 4, 8, 16, 32)

Run = Callable[[Tensor], Iterator[Tensor]]


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    run: gives the output of an input (N, C, T, ...), piece by piece.
    steps: of the input that it is given: all, or the first few for one that is very slow.
    turns: runs that are timed, where fewer than all.
    """

    run: Run
    steps: int
    turns: int | None = None


def ours(module: nn.Module, chunk: int) -> Run:
    """mediaconv.nn: push and flush, in one stream that begins anew each time.

    Of a long film few chunks are the first of a stream, whose memory is fresh.
    """
    streamed = stream(module)

    def run(x: Tensor) -> Iterator[Tensor]:
        streamed.reset()
        for piece in x.split(chunk, 2):
            yield streamed.push(piece)
        yield streamed.flush()

    return run


def whole(module: nn.Module) -> Run:
    """Plain torch: one call."""

    def run(x: Tensor) -> Iterator[Tensor]:
        yield module(x)

    return run


def continually(module: continual.CoModule, chunk: int, *, end: bool) -> Run:
    """continual-inference: forward_steps, with zeros after the end where the layer looks ahead."""

    def run(x: Tensor) -> Iterator[Tensor]:
        module.clean_state()
        pieces = x.split(chunk, 2)
        for i, piece in enumerate(pieces):
            y = module.forward_steps(piece, pad_end=end and i == len(pieces) - 1)
            if isinstance(y, Tensor):
                yield y

    return run


def temporally(convolutions: Sequence[TemporalConv1d], chunk: int) -> Run:
    """pytorch-tcn: streaming inference."""
    relu = nn.ReLU()

    def run(x: Tensor) -> Iterator[Tensor]:
        for convolution in convolutions:
            convolution.reset_buffer()
        for piece in x.split(chunk, 2):
            for convolution in convolutions:
                piece = relu(convolution(piece, inference=True))
            yield piece

    return run


def check_equal(contenders: dict[str, Contender], x: Tensor) -> None:
    """Raise RuntimeError for a contender whose output is not that of torch on the same input."""
    for name, contender in contenders.items():
        given = x[:, :, : contender.steps]
        expected = torch.cat(list(contenders["torch"].run(given)), 2)
        found = torch.cat(list(contender.run(given)), 2)
        if found.shape != expected.shape:
            raise RuntimeError(f"{name} gives {tuple(found.shape)}, torch {tuple(expected.shape)}")
        error = float((found - expected).abs().max() / expected.abs().max())
        if error > TOLERANCE:
            raise RuntimeError(f"{name} differs from torch by {error:.1e} of the largest value")


def per_step(contender: Contender, x: Tensor) -> float:
    """Seconds a step of the input."""
    given = x[:, :, : contender.steps]
    began = time.perf_counter()
    consume(contender.run, given)
    return (time.perf_counter() - began) / contender.steps


def in_turn(contenders: dict[str, Contender], x: Tensor, turns: int) -> dict[str, list[float]]:
    """Seconds a step of each contender and turn, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(-1, turns):
        for name, contender in contenders.items():
            if turn < (turns if contender.turns is None else contender.turns):
                spent = per_step(contender, x)
                if turn >= 0:
                    times[name].append(spent)
    return times


def film_contenders(chunk: int) -> dict[str, Contender]:
    """A 3x3x3 convolution of 3 channels to 8, zeros around."""
    frames = FILM_SHAPE[2]
    plain = nn.Conv3d(3, 8, 3, padding=1).eval()
    module = Conv3d(3, 8, 3, padding=1).eval()
    module.load_state_dict(plain.state_dict())
    slow = continual.Conv3d.build_from(plain).eval()
    return {
        "torch": Contender(whole(plain), frames),
        "ours": Contender(ours(module, chunk), frames),
        "continual-inference": Contender(continually(slow, chunk, end=True), 4, turns=2),
    }


def sound_contenders(chunk: int, dilations: Sequence[int]) -> dict[str, Contender]:
    """A causal stack of kernel 3 with a ReLU after each layer. continual-inference knows no dilation."""
    padded, module, temporal, continued = [], [], [], []
    channels = 1
    for dilation in dilations:
        conv = nn.Conv1d(channels, CHANNELS, 3, dilation=dilation)
        padded += [nn.ConstantPad1d((2 * dilation, 0), 0.0), conv, nn.ReLU()]
        module += [CausalConv1d(channels, CHANNELS, 3, dilation=dilation), nn.ReLU()]
        temporal.append(TemporalConv1d(channels, CHANNELS, 3, dilation=dilation).eval())
        same = [module[-2], temporal[-1]]
        if set(dilations) == {1}:
            continued += [continual.Conv1d(channels, CHANNELS, 3, padding=2), nn.ReLU()]
            same.append(continued[-2])
        for layer in same:
            layer.load_state_dict(conv.state_dict(), strict=False)  # buffers of pytorch-tcn stay zero
        channels = CHANNELS
    contenders = {
        "torch": Contender(whole(nn.Sequential(*padded).eval()), SOUND_SAMPLES),
        "ours": Contender(ours(Sequential(*module).eval(), chunk), SOUND_SAMPLES),
        "pytorch-tcn": Contender(temporally(temporal, chunk), SOUND_SAMPLES),
    }
    if continued:
        slow = continual.Sequential(*continued).eval()
        contenders["continual-inference"] = Contender(continually(slow, chunk, end=False), 256, turns=2)
    return contenders


def row(label: str, chunk: int, times: dict[str, list[float]], unit: float) -> list[str]:
    """Medians in milliseconds for `unit` steps, and the ratios to ours within a turn."""
    cells = [label, str(chunk)]
    cells += [
        f"{statistics.median(times[name]) * unit * 1000:.0f}" if name in times else "-"
        for name in ("torch", "ours", "continual-inference", "pytorch-tcn")
    ]
    pairs = zip(times["ours"], times["torch"], strict=True)
    cells.append(f"{statistics.median(o / t for o, t in pairs):.2f}")
    for name in ("continual-inference", "pytorch-tcn"):
        if name in times:
            ratios = [o / t for o, t in zip(times["ours"], times[name], strict=False)]
            cells.append(f"{statistics.median(ratios):.3g}")
        else:
            cells.append("-")
    return cells


COLUMNS = (
    "work",
    "chunk",
    "torch on the whole",
    "ours in chunks",
    "continual-inference",
    "pytorch-tcn",
    "ours : torch",
    "ours : continual-inference",
    "ours : pytorch-tcn",
)


def film() -> Table:
    """Frames of 720p through one layer."""
    torch.manual_seed(0)
    x = torch.rand(FILM_SHAPE)
    rows = []
    for chunk in FILM_CHUNKS:
        contenders = film_contenders(chunk)
        check_equal(contenders, x)
        rows.append(row("Conv3d 3 to 8, kernel 3", chunk, in_turn(contenders, x, FILM_TURNS), 1))
    return Table("Layers over film, 1280x720.", "Milliseconds a frame.", COLUMNS, rows)


def film_channels_last() -> Table:
    """The same of film that is channels last, on one thread and on two."""
    torch.manual_seed(0)
    x = torch.rand(FILM_SHAPE).contiguous(memory_format=torch.channels_last_3d)
    each = [film_contenders(chunk) for chunk in FILM_CHUNKS]
    for contenders in each:
        del contenders["continual-inference"]  # measured in the other layout
        check_equal(contenders, x)
    runs = [contenders["ours"].run for contenders in each]
    acts = [partial(consume, run, x) for run in (each[0]["torch"].run, *runs)]
    ratios, before = [], torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        whole_call, *ours_each = least(*acts, turns=FILM_TURNS)
        for chunk, spent in zip(FILM_CHUNKS, ours_each, strict=True):
            work = f"Conv3d 3 to 8, kernel 3, frames a push: {chunk}, torch's threads: {threads}"
            pair = spent.processor / FILM_SHAPE[2], "torch on the whole", whole_call.processor / FILM_SHAPE[2]
            ratios.append(Ratio(work, *pair, FILM_LIMIT, goal=FILM_GOAL))
            pair = spent.clock / FILM_SHAPE[2], "torch on the whole", whole_call.clock / FILM_SHAPE[2]
            ratios.append(Ratio(work, *pair, goal=FILM_GOAL, by="clock"))
    torch.set_num_threads(before)
    return Table(
        "Film that is channels last, 1280x720.",
        "Milliseconds a frame, the least of several runs in turn; over the limit is a fault.",
        RATIO_COLUMNS,
        [ratio.cells() for ratio in ratios],
        [ratio.work for ratio in ratios if ratio.value > ratio.limit],
    )


def consume(run: Run, x: Tensor) -> None:
    """Run to the end; an output is held until the next one has come, as a consumer does."""
    for _ in run(x):
        pass


def sound() -> Table:
    """Samples through a stack, with dilation and without."""
    torch.manual_seed(0)
    x = torch.rand(1, 1, SOUND_SAMPLES) * 2 - 1
    rows = []
    for label, dilations in (
        (f"{len(DILATIONS)} causal layers, dilation 1 to {DILATIONS[-1]}", DILATIONS),
        (f"{len(DILATIONS)} causal layers", (1,) * len(DILATIONS)),
    ):
        for chunk in SOUND_CHUNKS:
            contenders = sound_contenders(chunk, dilations)
            check_equal(contenders, x)
            rows.append(row(label, chunk, in_turn(contenders, x, SOUND_TURNS), 48000))
    return Table(
        f"Layers over sound, {CHANNELS} channels, kernel 3.",
        "Milliseconds a second at 48 kHz.",
        COLUMNS,
        rows,
    )


def measure() -> list[Table]:
    """Film and sound."""
    with torch.inference_mode():
        return [film(), film_channels_last(), sound()]


if __name__ == "__main__":
    for table in measure():
        print(table.markdown(), end="\n\n")
