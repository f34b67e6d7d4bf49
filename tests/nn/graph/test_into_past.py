"""The causal twin of a captured model, against one with all windows moved by hand and the same weights."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn.graph.check import check
from mediaconv.nn.graph.entry import streaming_graph
from mediaconv.nn.graph.refusal import CaptureError


class Unet(nn.Module):
    """Same padding, strides, a pool, a transposed convolution and linear interpolation."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv1d(2, 4, 5, padding=2)
        self.pool = nn.MaxPool1d(3, 1, 1)
        self.down = nn.Conv1d(4, 4, 4, 2, 1)
        self.wide = nn.Conv1d(4, 4, 3, padding=2, dilation=2)
        self.up = nn.ConvTranspose1d(4, 4, 4, 2, 1)
        self.out = nn.Conv1d(4, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.pool(torch.relu(self.a(x)))
        z = self.up(self.wide(self.down(h)))
        return self.out(F.pad(h[..., : z.shape[2]] + z, (1, 1)))


class CausalUnet(Unet):
    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(F.conv1d(F.pad(x, (4, 0)), self.a.weight, self.a.bias))
        h = F.max_pool1d(F.pad(h, (2, 0), value=-float("inf")), 3, 1)
        d = F.conv1d(F.pad(h, (3, 0)), self.down.weight, self.down.bias, 2)[..., : h.shape[2] // 2]
        d = F.conv1d(F.pad(d, (4, 0)), self.wide.weight, self.wide.bias, dilation=2)
        z = F.conv_transpose1d(d, self.up.weight, self.up.bias, 2)[..., : 2 * d.shape[2]]
        return F.conv1d(F.pad(h[..., : z.shape[2]] + z, (2, 0)), self.out.weight, self.out.bias)


def test_every_window_reads_the_past_with_the_same_weights() -> None:
    torch.manual_seed(0)
    module, by_hand = Unet().double().eval(), CausalUnet().double()
    by_hand.load_state_dict(module.state_dict())
    twin = streaming_graph(module, torch.randn(1, 2, 32, dtype=torch.float64), into_past=True)
    assert twin.latency == 0
    for length in (9, 31, 40):
        x = torch.randn(2, 2, length, dtype=torch.float64)
        torch.testing.assert_close(twin(x), by_hand(x), rtol=0, atol=1e-12)
    check(twin, torch.randn(2, 2, 40, dtype=torch.float64))  # ragged chunks, several lengths


def test_what_is_put_later_changes_nothing_before() -> None:
    class Upsampled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(F.avg_pool1d(x, 2), scale_factor=2, mode="linear")

    twin = streaming_graph(Upsampled(), torch.randn(1, 2, 32, dtype=torch.float64), into_past=True)
    x = torch.randn(1, 2, 20, dtype=torch.float64)
    for length in range(2, 20, 2):
        assert torch.equal(twin(x[..., :length]), twin(x)[..., :length])


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.Conv1d(2, 2, 3), "its 3 steps have 0 of padding"),
        (nn.Conv1d(2, 2, 3, padding=1, padding_mode="reflect"), "reflection at the start"),
        (nn.GroupNorm(1, 2), "whole"),
    ],
)
def test_what_has_no_causal_twin_is_refused(module: nn.Module, reason: str) -> None:
    with pytest.raises(CaptureError, match=reason):
        streaming_graph(module.eval(), torch.randn(1, 2, 32), into_past=True)


class Frames(nn.Module):
    """A spectrum by hand behind a convolution that is moved: the frames alone read ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mix = nn.Conv1d(1, 1, 3, padding=1), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.conv(x)[:, 0].unfold(1, 8, 4)).transpose(1, 2)


class Spectrum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stft = Frames()
        self.register_buffer("window", torch.hann_window(16))

    def forward(self, x: Tensor) -> Tensor:
        z = torch.stft(x[:, 0], 16, 4, window=self.window, center=False, return_complex=True)
        return z.abs()[:, :, 2:]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Frames(), [r"unfold in Frames at .*unfold\(1, 8, 4\).*: it reads 7 of .*ahead.*pad ahead of it"]),
        # the frames are whole after 15 steps, and two frames of 4 steps are cut off at the start
        (
            Spectrum(),
            [r"unfold in Spectrum at .*torch.stft\(.*: it reads 15 of", r"slice in .* 2:\]: it reads 8 of"],
        ),
    ],
)
def test_what_of_a_model_of_spectra_still_reads_ahead_is_told_with_its_place(module, words) -> None:
    with pytest.raises(CaptureError) as caught:
        streaming_graph(module.eval(), torch.randn(1, 1, 96), into_past=True)
    assert len(caught.value.reasons) == len(words)
    for word, reason in zip(words, caught.value.reasons, strict=True):
        assert re.match(word, reason), reason
