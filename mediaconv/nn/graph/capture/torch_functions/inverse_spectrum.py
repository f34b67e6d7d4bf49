"""torch.istft to a length that is a size of the input: torch's own takes, and exports, a plain number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mediaconv.nn.graph.capture.torch_functions.replaced import replaced

_ISTFT = torch.istft


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: Any = None,
    return_complex: bool = False,
) -> Tensor:
    """As torch.istft; where `length` is a size written out: the frames' sum over that of squared windows.

    Shape: (..., n_fft // 2 + 1, frames) to (..., length).
    """
    if not isinstance(length, torch.SymInt):
        rest = (hop_length, win_length, window, center, normalized, onesided, length, return_complex)
        return _ISTFT(input, n_fft, *rest)
    hop, width = hop_length or n_fft // 4, win_length or n_fft
    frames = input.unsqueeze(0).mT if input.ndim == 2 else input.mT
    norm = "ortho" if normalized else "backward"
    if return_complex:
        frames = torch.fft.ifft(frames, n_fft, norm=norm)
    else:
        frames = torch.fft.irfft(frames[..., : n_fft // 2 + 1], n_fft, norm=norm)
    if window is None:
        window = torch.ones(width, dtype=frames.real.dtype, device=frames.device)
    left = (n_fft - width) // 2
    window = F.pad(window, (left, n_fft - width - left))
    count = frames.shape[1]
    total = (count - 1) * hop + n_fft

    def added(x: Tensor) -> Tensor:
        return torch.ops.aten.unfold_backward(x, [x.shape[0], total], 1, n_fft, hop)

    start = n_fft // 2 if center else 0
    end = start + length
    weights = (window * window).expand(1, count, n_fft)
    y = added(frames * window)[:, start:end] / added(weights)[:, start:end]
    y = F.pad(y, (0, torch.sym_max(0, end - total)))
    return y[0] if input.ndim == 2 else y


@contextmanager
def istft_of_any_length() -> Iterator[None]:
    """While it is open, torch.istft takes a size that depends on the input as its length."""
    with replaced(torch, istft=istft), replaced(Tensor, istft=istft):
        yield
