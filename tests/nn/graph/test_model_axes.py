"""Models whose layout is not (N, C, ...): `axes` says it, and where it can be seen a refusal tells it."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from mediaconv.nn import stream, to_streaming
from mediaconv.nn.axes_pattern import AxesPattern, told_output
from mediaconv.nn.export.export_step import export_step
from mediaconv.nn.export.exported_step import run_step
from mediaconv.testing import check_streaming


class Tokens(nn.Module):
    """(N, T, C) to (N, T, C'), as language models have it."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 8), nn.LayerNorm(8)
        self.conv = nn.Conv1d(8, 6, 5, padding=2)

    def forward(self, x):
        return self.conv(self.norm(self.linear(x)).transpose(1, 2)).transpose(1, 2)


class Waves(nn.Module):
    """(N, T) to features of every fourth sample, laid out as asked."""

    def __init__(self, output):
        super().__init__()
        self.conv, self.output = nn.Conv1d(1, 6, 8, stride=4), output

    def forward(self, x):
        y = self.conv(x[:, None])
        return {"n t c": y.mT, "n t": y.mean(1), "n s c t": y.unflatten(1, (2, 3)), "n c t": y}[self.output]


class Images(nn.Module):
    def __init__(self, output="n c h w"):
        super().__init__()
        self.conv, self.output = nn.Conv2d(3, 5, 3, padding=1), output

    def forward(self, x):
        y = self.conv(x)
        return {"n h w c": y.permute(0, 2, 3, 1), "n c": y.mean((2, 3)), "n c h w": y}[self.output]


def in_chunks(module, x, axis=0):
    running = stream(module, axis=axis)
    sizes = [1, 0, 3, 7, 2, x.shape[axis + 2] - 13]
    parts = [running.push(chunk) for chunk in x.split(sizes, axis + 2)]
    return torch.cat([*parts, running.flush()], axis + 2)


def frames(model, x):
    """Each frame of a film through a model of images: (N, C, T, H, W) to (N, C', T, ...)."""
    return torch.stack([model(x[:, :, t]) for t in range(x.shape[2])], 2)


def test_channels_last_streams_and_keeps_the_models_keys():
    model, x = Tokens().eval().double(), torch.randn(2, 4, 60, dtype=torch.float64)
    streaming = to_streaming(model, example=x, axes="n t c")
    wanted = model(x.mT).mT.detach()
    torch.testing.assert_close(in_chunks(streaming, x), wanted, rtol=1e-12, atol=1e-12)
    assert streaming.state_dict().keys() == model.state_dict().keys()
    assert streaming.linear.weight is model.linear.weight
    assert stream(model, example=x, axes="n t c").latency == 2
    check_streaming(streaming, x)
    for other in (copy.deepcopy(streaming), pickle.loads(pickle.dumps(streaming))):
        torch.testing.assert_close(in_chunks(other, x), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("output", ["n t c", "n t", "n s c t", "n c t"])
def test_one_channel_without_an_axis_and_outputs_of_another_order(output):
    model, x = Waves(output).eval(), torch.randn(2, 1, 101)
    streaming = to_streaming(model, example=x, axes=f"n t -> {output}")
    y = model(x[:, 0])
    wanted = {"n t c": y.mT, "n t": y[:, None], "n s c t": y.flatten(1, 2) if y.ndim == 4 else y, "n c t": y}
    torch.testing.assert_close(in_chunks(streaming, x), wanted[output], rtol=1e-6, atol=1e-6)
    assert stream(streaming).stride == 4
    with pytest.raises(TypeError, match="takes one channel: got 2 channels"):
        to_streaming(model, example=x.expand(2, 2, 101), axes="n t")


@pytest.mark.parametrize("axis", [0, 1])
def test_features_of_images_with_channels_last(axis):
    model, x = Images("n h w c").eval(), torch.randn(2, 3, 20, 21)
    streaming = to_streaming(model, example=x, axis=axis, axes="n c h w -> n h w c")
    wanted = model(x).permute(0, 3, 1, 2)
    torch.testing.assert_close(in_chunks(streaming, x, axis), wanted, rtol=1e-6, atol=1e-6)


def test_models_of_images_run_over_the_frames_of_a_film():
    x = torch.randn(2, 3, 20, 8, 12)
    model = Images().eval()
    streaming = to_streaming(model, example=x, axes="t c h w")
    torch.testing.assert_close(in_chunks(streaming, x), frames(model, x), rtol=1e-6, atol=1e-6)
    features = Images("n c").eval()
    streaming = to_streaming(features, example=x, axes="t c h w -> t c")
    wanted = frames(features, x)[..., None, None]
    torch.testing.assert_close(in_chunks(streaming, x), wanted, rtol=1e-6, atol=1e-6)


def test_several_frames_are_channels_as_the_first_convolution_takes_them():
    model, x = nn.Conv2d(9, 4, 3, padding=1).eval(), torch.randn(1, 3, 20, 8, 12)
    streaming = to_streaming(model, example=x, axes="1 (t c) h w")
    padded = nn.functional.pad(x, (0, 0, 0, 0, 1, 1))
    windows = [padded[:, :, t : t + 3].transpose(1, 2).flatten(1, 2) for t in range(20)]
    wanted = torch.stack([model(window) for window in windows], 2)
    torch.testing.assert_close(in_chunks(streaming, x), wanted, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="make up the 9 channels of the module's first convolution: got 2"):
        to_streaming(model, example=x[:, :2], axes="1 (t c) h w")


def test_the_exported_step_takes_and_gives_channels_first():
    model, x = Tokens().eval(), torch.randn(1, 4, 60)
    step = export_step(to_streaming(model, example=x, axes="n t c"), torch.zeros(1, 4, 8))
    with torch.no_grad():
        y = run_step(step, step.info, step.start(), x)
    torch.testing.assert_close(y, model(x.mT).mT.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "shape", "axes", "words"),
    [
        # no axes: what is seen in the export is told
        (Tokens(), (2, 60, 4), None, "2 is fixed and the others grow.*axes='n t c', and example="),
        (Images("n h w c"), (2, 3, 20, 12), None, "give axes='n c h w -> n h w c'"),
        (Tokens(), (2, 4, 60), None, r"it takes \(2, 60, 4\): give axes='n t c' where that is \(N, T, C\)"),
        (Waves("n t"), (2, 1, 100), None, r"it takes \(2, 100\): give axes='n t'"),
        (Images(), (2, 3, 5, 20, 12), None, r"it takes \(10, 3, 20, 12\): give axes='t c h w'"),
        (nn.Conv2d(3, 4, 3), (2, 3, 5, 20, 12), None, r"it takes \(10, 3, 20, 12\): give axes='t c h w'"),
        (Images(), (2, 4, 20, 12), None, r"of \(2, 4, 20, 12\) it fails: .*give an input that it takes"),
        (Waves("n t"), (2, 100), None, r"give one of \(N, 1, T\), and axes='n t'"),
        # axes that do not fit
        (Tokens(), (2, 4, 60), "n t c -> n c t", "give axes='n t c -> n t c'"),
        (Tokens(), (2, 60, 4), "n t c", r"takes the example as it is: give example= as .* \(N, C, T\)"),
        (Waves("n t c"), (2, 1, 100), "n t -> n c t", "give axes='n t -> n t c'"),
        (Waves("n t"), (2, 1, 100), "n t -> n c t", r"gives shape \(2, 24\), expected 3 axes, n c t"),
        (Images("n c"), (1, 3, 20, 8, 12), "t c h w", r"gives shape \(20, 5\), expected 4 axes, \(n t\) c"),
        (Tokens(), (2, 4, 60), "n t h c", r"got shape \(2, 4, 60\), expected \(N, C, T, H\)"),
        # patterns that are none
        (Tokens(), (2, 4, 60), "n (c t)", "axes: got 'n .c t.', expected the axes n c t"),
        (Tokens(), (2, 4, 60), "n c", "no axis 0 besides n and c"),
        (Tokens(), (2, 4, 60), "n c t -> n c", "with n and t, along which it streams"),
        (Tokens(), (2, 4, 60), "n c t -> n c t t", "each axis stands once"),
        (Tokens(), (2, 4, 60), 3, "got 3, expected a pattern"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_to_write(model, shape, axes, words):
    with pytest.raises((TypeError, ValueError), match=words):
        to_streaming(model.eval(), example=torch.randn(shape), axes=axes)


@pytest.mark.parametrize(
    ("known", "sizes", "told"),
    [
        (["n", "t", None], [0, 0, 8], "n t c"),
        (["n", None, None, "t"], [0, 2, 8, 0], "n s c t"),
        (["n", None, "t", None], [0, 1, 0, 8], "n 1 t c"),
        (["n t", None], [0, 8], "(n t) c"),
        (["n", "t"], [0, 0], "n t"),
        (["n", None, "t"], [0, 1, 0], "n c t"),
        ([None, "t", "n"], [4, 0, 0], "c t n"),
        ([None, "t"], [4, 0], None),
        (["n", "t", "t"], [0, 0, 0], None),
    ],
)
def test_what_an_output_follows_becomes_a_pattern_that_is_read_again(known, sizes, told):
    assert told_output(["t"], known, sizes) == told
    if told is not None:
        written = AxesPattern.parse(f"n c t -> {told}").output
        assert [name for token in written for name in token.split()].count("t") == 1


def test_a_plain_layout_is_no_capture():
    model = nn.Conv1d(4, 4, 3)
    assert type(to_streaming(model, axes="n c t")) is type(to_streaming(model))
