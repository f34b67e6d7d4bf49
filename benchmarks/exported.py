"""The exported step in onnxruntime beside our own stream and torch on the whole: processor time a chunk.

python -m benchmarks.exported

Same weights, same input, one process, one thread each; results are compared before anything is timed.
Processor time, and the least of several runs in turn: both are nearly the same on a busy machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.table import Table
from mediaconv.nn import CausalConv1d, CausalConv3d, Sequential, export_step, stream, write_step

TURNS = 3
CHANNELS, DILATIONS = 32, (1, 2, 4, 8, 16, 32)
SOUND_CHUNKS = (256, 4096)
SOUND_SAMPLES = 16384
FRAME, FRAMES = (720, 1280), 4
TOLERANCE = 1e-5
"""Relative to the largest absolute value: float32 summed in another order."""

Run = Callable[[], Tensor]


def sound_stack() -> nn.Module:
    """Six causal convolutions of 32 channels, dilated."""
    torch.manual_seed(0)
    layers = [
        layer for d in DILATIONS for layer in (CausalConv1d(CHANNELS, CHANNELS, 3, dilation=d), nn.ReLU())
    ]
    return Sequential(*layers).eval()


def film_stack() -> nn.Module:
    """Two causal convolutions over colour film."""
    torch.manual_seed(0)
    return Sequential(CausalConv3d(3, 4, 3), nn.ReLU(), CausalConv3d(4, 3, 3)).eval()


def exported(module: nn.Module, x: Tensor, chunk: int, folder: Path) -> Run:
    """The step in onnxruntime, its state bound from call to call as plain arrays."""
    example = torch.zeros(*x.shape[:2], chunk, *x.shape[3:])
    step = export_step(module, example)
    facts = write_step(step, folder / f"step{chunk}.onnx", module)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    file = folder / f"step{chunk}.onnx"
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names, start = facts["inputs"], [value.numpy() for value in step.start()]

    def run() -> Tensor:
        state, outputs = start, []
        for piece in x.split(chunk, 2):
            y, *state = session.run(None, dict(zip(names, [piece.numpy(), *state], strict=True)))
            outputs.append(torch.from_numpy(y))
        return torch.cat(outputs, 2)

    return run


def streamed(module: nn.Module, x: Tensor, chunk: int) -> Run:
    """mediaconv.nn: push and flush."""

    def run() -> Tensor:
        s = stream(module)
        return torch.cat([*(s.push(piece) for piece in x.split(chunk, 2)), s.flush()], 2)

    return run


def row(name: str, module: nn.Module, x: Tensor, chunk: int, folder: Path) -> list[str]:
    """One row: milliseconds a chunk of each, and the step against the stream."""
    contenders: list[Run] = [
        exported(module, x, chunk, folder),
        streamed(module, x, chunk),
        lambda: module(x),
    ]
    with torch.inference_mode():
        whole = module(x)
        for run in contenders:
            difference = float((run() - whole).abs().max() / whole.abs().max())
            if not difference <= TOLERANCE:
                raise ValueError(f"{name}: a contender differs by {difference:.2g}")
        turns = []
        for _ in range(TURNS):
            times = []
            for run in contenders:
                begin = time.process_time()
                run()
                times.append(1000 * (time.process_time() - begin) * chunk / x.shape[2])
            turns.append(times)
    step, own, torch_whole = (min(times) for times in zip(*turns, strict=True))
    return [name, *(f"{ms:.3g}" for ms in (step, own, torch_whole)), f"{step / own:.2f}"]


def measure() -> list[Table]:
    """Sound in two chunk lengths, and film a frame at a time."""
    sound = torch.randn(1, CHANNELS, SOUND_SAMPLES)
    film = torch.randn(1, 3, FRAMES, *FRAME)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = [row(f"sound, {n:,} samples", sound_stack(), sound, n, Path(folder)) for n in SOUND_CHUNKS]
            rows.append(row("film, one frame of 1280x720", film_stack(), film, 1, Path(folder)))
    finally:
        torch.set_num_threads(threads)
    note = (
        "Processor milliseconds a chunk on one thread, the least of three: through the step in onnxruntime, "
        "through `stream`, and torch's whole call, its share. "
        "Sound: six dilated causal convolutions of 32 channels; film: two causal 3x3x3 over 3 and 4 channels."
    )
    columns = ["", "exported step, onnxruntime", "stream", "torch on the whole", "step / stream"]
    return [Table("The exported step.", note, columns, rows)]


if __name__ == "__main__":
    print("\n\n".join(table.markdown() for table in measure()))
