"""The compute step: from a chunk of raw samples to a chunk of stored samples, through a stack, exactly.

Two implementations of one interface: `TorchStep` runs any stack on any device, `FusedStep` (fused.py)
few-channel convolutions of film and images on a CPU. Which one runs follows from the stack and the format
alone, never from time or machine load. Opens no files.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from mediaconv.compute.chunking import MEMORY_BUDGET_BYTES, estimate_chunk
from mediaconv.compute.finish import Finisher
from mediaconv.compute.normalize import Normalizer
from mediaconv.errors import ComputeError, UsageError, nearest
from mediaconv.media.samples import SampleFormat
from mediaconv.nn import stream
from mediaconv.nn.copying import copy_module
from mediaconv.nn.streaming.protocol import is_pointwise
from mediaconv.pipeline import SourceInfo

__all__ = ["ComputeStep", "TorchStep", "choose_chunk", "pick_device", "step_maker"]

PRECISIONS = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
CONVOLUTIONS = (F.conv2d, F.conv3d)


class ComputeStep(Protocol):
    """One pass over one input. Joined outputs do not depend on how the input is cut into chunks.

    clipped: values so far that lay outside the signal's range by more than half a quantum.
    """

    @property
    def clipped(self) -> int:
        """See above."""

    def push(self, raw: np.ndarray) -> np.ndarray:
        """Take raw samples (n, ..., C), any n; stored samples (C', n', ...), n' may be 0.

        Raises ComputeError where the stack cannot run over them or gives NaN or infinity.
        """

    def flush(self) -> np.ndarray:
        """End the input; the stored samples that waited for more of it."""


class TorchStep:
    """Any stack on any device, streamed by mediaconv.nn; output normalized in float32, or in float64."""

    def __init__(
        self,
        module: nn.Module,
        normalizer: Normalizer,
        format: SampleFormat,
        *,
        scale: float = 1.0,
        device: torch.device | str = "cpu",
        precision: str = "float32",
    ) -> None:
        self._dtype = precision_dtype(precision)
        self._device = torch.device(device)
        self._stream = stream(prepared(module, self._device, self._dtype))
        self._normalizer, self._format = normalizer, format
        self._finish = Finisher(normalizer, format)
        self._scale = scale
        self._one_kernel = (
            self._device.type != "cuda"
            and torch.backends.mkldnn.is_available()
            and not _is_plain_sound(module)
        )

    def fresh(self) -> TorchStep:
        """The same for another input: the module is not read again."""
        other = copy.copy(self)
        other._stream = self._stream.fresh()
        other._finish = Finisher(self._normalizer, self._format)
        return other

    @property
    def clipped(self) -> int:
        """Values so far that lay outside the signal's range by more than half a quantum."""
        return self._finish.clipped

    def push(self, raw: np.ndarray) -> np.ndarray:
        """See ComputeStep."""
        return self._finished(lambda: self._stream.push(self._input(raw)))

    def flush(self) -> np.ndarray:
        """See ComputeStep."""
        return self._finished(self._stream.flush)

    def whole(self, raw: np.ndarray) -> np.ndarray:
        """An input that is one chunk: the same samples as `push` and `flush` give, in one pass."""
        return self._finished(lambda: self._stream.whole(self._input(raw)))

    def _finished(self, outputs: Callable[[], Tensor]) -> np.ndarray:
        one_kernel = _OneKernel() if self._one_kernel else nullcontext()
        with torch.inference_mode(), _exact(self._device), one_kernel, _as_compute_errors():
            return self._finish(_values(outputs()))

    def _input(self, raw: np.ndarray) -> Tensor:
        """(n, ..., C) to (1, C, n, ...). Channels last in memory: fastest in 2D and 3D."""
        native = raw if raw.dtype.isnative else raw.astype(raw.dtype.newbyteorder("="))
        if not native.flags.writeable or any(stride < 0 for stride in native.strides):
            native = native.copy()
        wide = torch.float64 if self._dtype == torch.float64 else torch.float32
        x = torch.from_numpy(native).to(self._device).to(wide, copy=True)
        if self._scale != 1.0:
            x.div_(self._scale)
        x = x.to(self._dtype).movedim(-1, 0).unsqueeze(0)
        return x if x.ndim > 3 else x.contiguous()


def step_maker(
    module: nn.Module,
    normalizer: Normalizer,
    format: SampleFormat,
    *,
    scale: float = 1.0,
    device: torch.device | str = "cpu",
    precision: str = "float32",
) -> Callable[[], ComputeStep]:
    """Makes a fresh step for each of many inputs, the fastest for this stack, device and precision.

    What does not depend on the input is made here: the stack is read, or put on its device, once.
    scale: raw samples divided by it are the stack's input (SourceInfo.scale).
    """
    if torch.device(device).type == "cpu" and precision == "float32" and _may_fuse(module):
        from mediaconv.compute.fused import fused_plan

        fused = fused_plan(module, normalizer=normalizer, sample_format=format, scale=scale)
        if fused is not None:
            return fused.step
    return TorchStep(module, normalizer, format, scale=scale, device=device, precision=precision).fresh


def choose_chunk(
    module: nn.Module,
    info: SourceInfo,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
) -> int:
    """`chunk: auto`: steps of the stream axis for the step that `step_maker` takes for this stack."""
    fused = False
    if torch.device(device).type == "cpu" and precision == "float32" and _may_fuse(module):
        from mediaconv.compute.fused import can_fuse

        fused = can_fuse(module)
    return estimate_chunk(module, info, fused=fused, memory_budget_bytes=memory_budget_bytes)


def _may_fuse(module: nn.Module) -> bool:
    """Whether it is worth loading the compiler's library: no sound, and something to convolve."""
    convolutions = [m for m in module.modules() if isinstance(m, nn.modules.conv._ConvNd)]
    return bool(convolutions) and not any(isinstance(m, nn.Conv1d) for m in convolutions)


def pick_device(name: str) -> torch.device:
    """The device for `auto` (the first of cuda, mps, cpu that is there) or one by name, checked.

    Raises UsageError for one that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise UsageError(
            f"device: got {name!r}, which is not usable here ({reason}); use auto or cpu"
        ) from error
    return device


def precision_dtype(name: str) -> torch.dtype:
    """The torch type of a `precision`. Raises UsageError."""
    if name not in PRECISIONS:
        raise UsageError(
            f"precision: got {name!r}, expected one of {', '.join(PRECISIONS)}{nearest(name, PRECISIONS)}"
        )
    return PRECISIONS[name]


def prepared(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The module in eval mode on that device in that type: itself where it is so, otherwise a copy."""
    tensors = [*module.parameters(), *module.buffers()]
    fits = all(t.device == device and (not t.is_floating_point() or t.dtype == dtype) for t in tensors)
    if fits and not any(m.training for m in module.modules()):
        return module
    return copy_module(module).to(device=device, dtype=dtype).eval()


def _values(y: Tensor) -> Tensor:
    """(1, C, n, ...) in any type to (C, n, ...) in float32, or float64 as it is, that may be overwritten."""
    y = y[0] if y.dtype == torch.float64 else y[0].float()
    shared = any(step == 0 and size > 1 for step, size in zip(y.stride(), y.shape, strict=True))
    return y.clone() if shared else y


class _OneKernel(TorchFunctionMode):
    """Every float32 convolution on a CPU by oneDNN, which torch leaves for small ones.

    Without it a film of fewer than some 20,000 values (channels x frames x rows) takes ten times as long,
    and the last bits of an output depend on how long the chunk was.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CONVOLUTIONS and not kwargs and len(args) == 7:
            x, weight, bias, stride, padding, dilation, groups = args
            if x.device.type == "cpu" and x.dtype == torch.float32 and not isinstance(padding, str):
                layout = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
                x = x.contiguous(memory_format=layout)
                return torch.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)
        return func(*args, **(kwargs or {}))


def _is_plain_sound(module: nn.Module) -> bool:
    """Whether a stack holds convolutions of sound and plain functions only: none for `_OneKernel` to see."""
    parts = module.modules()
    return all(isinstance(m, nn.Conv1d | nn.Sequential) or is_pointwise(m) for m in parts)


def _exact(device: torch.device) -> AbstractContextManager[None]:
    """float32 means float32, and the same kernel each time: no TF32, no tuning by timing."""
    return _exact_on_cuda() if device.type == "cuda" else nullcontext()


@contextmanager
def _exact_on_cuda() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def _as_compute_errors() -> Iterator[None]:
    """Errors of torch and of the stack's layers as ComputeError, in their first line."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ComputeError("out of device memory: give a smaller chunk, or device: cpu") from error
    except (RuntimeError, ValueError, TypeError) as error:
        lines = str(error).strip().splitlines()
        raise ComputeError(
            f"the stack cannot run over this input: {lines[0] if lines else error!r}"
        ) from error
