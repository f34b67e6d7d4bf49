"""Spectra along the stream: frames are cut, changed and added where they overlap, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchaudio
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.streaming.protocol import run_chunks
from tests.nn.contract import verify_contract

SIZE, HOP = 16, 5
BINS = SIZE // 2 + 1


class Net(tn.Module):
    """Layers over the bins of a spectrum, and a function of them and the input."""

    def __init__(self, forward: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(SIZE))
        self.conv = tn.Conv1d(BINS, BINS, 3, padding=1)
        self.across = tn.Conv2d(2, 1, 3, padding=1)
        self.gru = tn.GRU(BINS, BINS, batch_first=True)
        self.way = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


def spectrum(m: Net, x: Tensor, **more: object) -> Tensor:
    return torch.stft(x[:, 0], SIZE, HOP, window=m.window, return_complex=True, **more)  # type: ignore[arg-type]


def signal(m: Net, y: Tensor, **more: object) -> Tensor:
    return torch.istft(y, SIZE, HOP, window=m.window, **more)[:, None]  # type: ignore[arg-type]


def denoised(m: Net, x: Tensor) -> Tensor:
    y = spectrum(m, x)
    return signal(m, y * torch.sigmoid(m.conv(y.abs())), length=x.shape[-1])


def recurrent(m: Net, x: Tensor) -> Tensor:
    y = spectrum(m, x)
    return signal(m, y * m.gru(y.abs().mT)[0].mT, length=x.shape[-1])


def over_bins(m: Net, x: Tensor) -> Tensor:
    y = spectrum(m, x)
    return signal(m, y * m.across(torch.view_as_real(y).permute(0, 3, 1, 2))[:, 0], length=x.shape[-1])


def two_sided(m: Net, x: Tensor) -> Tensor:
    return signal(m, spectrum(m, x, onesided=False), onesided=False, length=x.shape[-1])


def uncentred(m: Net, x: Tensor) -> Tensor:
    y = torch.stft(x[:, 0], SIZE, HOP, center=False, window=torch.ones(SIZE).to(x), return_complex=True)
    return torch.istft(m.conv(y.real) * y, SIZE, HOP, center=False, window=torch.ones(SIZE).to(x))[:, None]


def stereo(m: Net, x: Tensor) -> Tensor:
    x = torch.cat([x, x.cumsum(2)], 1)
    y = torch.stft(x.flatten(0, 1), SIZE, HOP, window=m.window, return_complex=True)
    return torch.istft(y, SIZE, HOP, window=m.window, length=x.shape[-1]).reshape(x.shape)


def whole_hops(m: Net, x: Tensor) -> Tensor:
    """Padded to whole hops, so that the last frame is none of the padding's alone; narrow window, scaled."""
    window = m.window[2:-2]
    y = F.pad(x[:, 0], (0, -x.shape[-1] % HOP))
    y = torch.stft(y, SIZE, HOP, SIZE - 4, window=window, normalized=True, return_complex=True)
    more = {"normalized": True, "length": x.shape[-1]}
    return torch.istft(y, SIZE, HOP, SIZE - 4, window, **more)[:, None]  # type: ignore[arg-type]


SPECTRA: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "mask by a convolution": denoised,
    "mask by a GRU": recurrent,
    "mask over bins and frames": over_bins,
    "as many as whole hops": lambda m, x: signal(m, spectrum(m, x)),
    "two-sided": two_sided,
    "uncentred": uncentred,
    "stereo": stereo,
}


def captured(module: tn.Module, example: Tensor) -> tn.Module:
    return nn.to_streaming(module.double().eval(), example=example.double())


@pytest.mark.parametrize("name", SPECTRA)
def test_a_spectrum_and_back_in_chunks_is_that_of_the_whole(name: str) -> None:
    torch.manual_seed(0)
    module = Net(SPECTRA[name])
    graph = captured(module, torch.randn(1, 1, 60))
    verify_contract(graph, (2, 1, 57), [1, 0, 7, 3], measure="no")


def test_a_spectrum_of_a_signal_padded_to_whole_hops_is_cut_to_its_length() -> None:
    torch.manual_seed(0)
    graph = captured(Net(whole_hops), torch.randn(1, 1, 60))
    for length in (40, 41, 57):
        x = torch.randn(2, 1, length, dtype=torch.float64)
        with torch.no_grad():
            y = run_chunks(graph, x.split([1, 0, 13, 4, length - 18], 2))
            torch.testing.assert_close(y, graph(x), rtol=0, atol=1e-12)


def test_gradients_and_states_pass_through_frames_that_overlap() -> None:
    torch.manual_seed(0)
    graph = captured(Net(denoised), torch.randn(1, 1, 60))
    x = torch.randn(2, 1, 53, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad((graph(x) ** 2).sum(), x)
    (y,) = torch.autograd.grad((run_chunks(graph, x.split([9, 1, 30, 13], 2)) ** 2).sum(), x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    s = nn.stream(graph)
    with torch.no_grad():
        before = s.push(x[..., :31])
        twin = nn.stream(graph)
        twin.load_state_dict(s.state_dict())
        rest = torch.cat([twin.push(x[..., 31:]), twin.flush()], 2)
        torch.testing.assert_close(torch.cat([before, rest], 2), graph(x), rtol=0, atol=1e-12)


def folded(m: Net, x: Tensor) -> Tensor:
    """A vocoder's last layer: spectra to a signal by `fold`, over the sum of squared windows."""
    cut = (SIZE - HOP) // 2
    frames = torch.fft.irfft(torch.polar(m.conv(x).exp().clip(max=100.0), x), SIZE, dim=1)
    size = (1, (frames.shape[-1] - 1) * HOP + SIZE)
    squares = m.window.square().expand(1, frames.shape[-1], -1).transpose(1, 2)
    y = F.fold(frames * m.window[None, :, None], size, (1, SIZE), stride=(1, HOP))[:, 0, 0, cut:-cut]
    return (y / F.fold(squares, size, (1, SIZE), stride=(1, HOP)).squeeze()[cut:-cut])[:, None]


VOCODERS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "same": folded,
    "center": lambda m, x: signal(m, torch.polar(m.conv(x).exp().clip(max=100.0), x), center=True),
    "upright, padded": lambda m, x: F.fold(
        torch.cat([x, x[:, :3]], 1), (3 * x.shape[-1] + 1 - 4, 1), (4, 1), padding=(2, 0), stride=(3, 1)
    )[..., 0],
}


@pytest.mark.parametrize("name", VOCODERS)
def test_spectra_become_a_signal_at_the_rate_of_samples(name: str) -> None:
    torch.manual_seed(0)
    graph = captured(Net(VOCODERS[name]), torch.randn(1, BINS, 20))
    verify_contract(graph, (2, BINS, 12), [1, 0, 4], measure="no")


MEL = {"n_fft": 32, "hop_length": 10, "n_mels": 6}
FRONT_ENDS: dict[str, Callable[[], tn.Module]] = {
    "mel": lambda: torchaudio.transforms.MelSpectrogram(16000, **MEL),
    "mel in decibels": lambda: tn.Sequential(
        torchaudio.transforms.MelSpectrogram(16000, center=False, **MEL),
        torchaudio.transforms.AmplitudeToDB(top_db=None),
    ),
    "mfcc": lambda: torchaudio.transforms.MFCC(16000, 5, log_mels=True, melkwargs=MEL),
    "lfcc": lambda: torchaudio.transforms.LFCC(
        16000, 10, n_lfcc=5, log_lf=True, speckwargs={"n_fft": 32, "hop_length": 10}
    ),
}


class FrontEnd(tn.Module):
    def __init__(self, module: tn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.squeeze(1))


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_front_ends_of_torchaudio_stream(name: str) -> None:
    graph = captured(FrontEnd(FRONT_ENDS[name]()), torch.randn(1, 1, 200))
    verify_contract(graph, (2, 1, 161), [1, 0, 17], measure="no")


def test_what_overlaps_otherwise_is_refused_by_name() -> None:
    with pytest.raises(CaptureError, match="frames of 4 are 5 apart: nothing is between them"):
        captured(
            Net(lambda m, x: F.fold(x[:, :4], (1, 5 * x.shape[-1] - 1), (1, 4), stride=(1, 5))[:, :, 0]),
            torch.randn(1, BINS, 20),
        )
    with pytest.raises(CaptureError, match="several across the axis beside the stream"):
        captured(
            Net(lambda m, x: F.fold(x[:, :4].repeat_interleave(2, 2), (2, x.shape[-1]), (1, 1))[:, :, 0]),
            torch.randn(1, BINS, 20),
        )
