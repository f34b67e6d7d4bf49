"""Reshape against einops itself, the contract of streaming, its map by gradient, its words, its refusals."""

from __future__ import annotations

import re
from pathlib import Path

import einops
import numpy as np
import pytest
import torch

from mediaconv.nn import PixelShuffle2d, PixelUnshuffle2d, Reshape, geometry, noncausal_layers, stream
from mediaconv.testing import reads
from tests.nn.contract import verify_contract

CASES = [  # pattern, sizes, shape: lengths are whole blocks
    ("n (c k) t -> n c (t k)", {"k": 4}, (2, 12, 7)),
    ("n (c k) t -> n k (t c)", {"k": 4}, (2, 12, 7)),
    ("n c (t k) -> n (k c) t", {"k": 3}, (2, 2, 12)),
    ("n 1 (t k) -> n k t", {"k": 3}, (1, 1, 9)),
    ("n c (t a b) -> n (b c) (t a)", {"a": 3, "b": 2}, (2, 2, 12)),
    ("n c (t a b) -> n c (t b a)", {"a": 3, "b": 2}, (2, 2, 12)),
    ("n (c j) (t a b) -> n (b c) (t j a)", {"a": 3, "b": 2, "j": 4}, (2, 8, 12)),
    ("n c (h k) w -> n c h (w k)", {"k": 3}, (1, 2, 9, 4)),
    ("n c (h a) (w b) -> n (c a b) h w", {"a": 3, "b": 2}, (1, 2, 9, 4)),
    ("n (tensor pattern) h w -> n (pattern tensor) h w", {"pattern": 3}, (1, 6, 4, 3)),
    ("n (c k) t h w -> n c t h (w k)", {"k": 2}, (1, 4, 5, 3, 2)),
    ("n c (t k) h w -> n c t h (w k)", {"k": 2}, (1, 1, 8, 3, 2)),
    ("n c t h w -> n c t h w", {}, (1, 1, 4, 3, 2)),
]


@pytest.mark.parametrize(("pattern", "sizes", "shape"), CASES)
def test_it_streams_along_every_axis(pattern, sizes, shape):
    module = Reshape(pattern, sizes, in_channels=shape[1])
    for axis in range(len(shape) - 2):
        for plan in ([1] * 9, [0, 2, 0, 3, 1], [100], []):
            # receptive fields are measured below: the contract's own lengths are no whole blocks
            verify_contract(module, shape, plan, axis=axis, measure="no")


@pytest.mark.parametrize(("pattern", "sizes", "shape"), CASES)
def test_it_is_einops_rearrange(pattern, sizes, shape):
    x = torch.randn(shape)
    plain = pattern.replace("tensor", "first").replace("pattern", "second")  # einops' own argument names
    sizes_there = {name.replace("pattern", "second"): size for name, size in sizes.items()}
    module = Reshape(pattern, sizes, in_channels=shape[1])
    assert torch.equal(module(x), einops.rearrange(x, plain, **sizes_there))
    assert module.output_shape(shape) == module(x).shape


@pytest.mark.parametrize(("pattern", "sizes", "shape"), CASES)
def test_its_map_is_what_the_gradient_shows(pattern, sizes, shape):
    module = Reshape(pattern, sizes, in_channels=shape[1]).double()
    for axis in range(len(shape) - 2):
        told = geometry(module, axis)
        x = torch.rand(shape, dtype=torch.float64)
        for j in range(module.output_length(shape[axis + 2], axis)):
            read = reads(module, x, axis, j).nonzero()[:, 0].tolist()
            assert read == told.reads(np.array([j])).tolist(), (axis, j)


def test_it_is_torchs_pixel_shuffle_and_its_reverse():
    x = torch.randn(1, 18, 4, 2)
    there = Reshape("n (c a b) h w -> n c (h a) (w b)", {"a": 3, "b": 3}, in_channels=18)
    assert torch.equal(there(x), torch.nn.functional.pixel_shuffle(x, 3))
    back = Reshape("n c (h a) (w b) -> n (c a b) h w", {"a": 3, "b": 3}, in_channels=2)
    assert torch.equal(back(there(x)), x)
    for axis in (0, 1):
        for ours, known in ((there, PixelShuffle2d(3)), (back, PixelUnshuffle2d(3))):
            a, b = geometry(ours, axis), geometry(known, axis)
            assert (a.total_stride, a.latency, a.lookback) == (b.total_stride, b.latency, b.lookback)


def test_what_reads_ahead_is_found():
    ahead = Reshape("n c (t k) -> n (c k) t", {"k": 3}, in_channels=1)
    assert [count for _, _, count in noncausal_layers(ahead)] == [2]
    assert not noncausal_layers(Reshape("n (c k) t -> n c (t k)", {"k": 3}, in_channels=3))


def test_a_last_block_that_is_not_whole_is_refused_at_the_end():
    module = Reshape("n c (t k) -> n (c k) t", {"k": 4}, in_channels=1)
    said = r"got 10 steps along \(t k\), expected a multiple of 4"
    with pytest.raises(ValueError, match=said):
        module(torch.zeros(1, 1, 10))
    running = stream(module)
    assert running.push(torch.zeros(1, 1, 10)).shape == (1, 4, 2)
    with pytest.raises(ValueError, match=said):
        running.flush()
    across = stream(Reshape("n c h (w k) -> n (c k) h w", {"k": 4}, in_channels=1))
    with pytest.raises(ValueError, match=r"got 10 steps along \(w k\)"):
        across.push(torch.zeros(1, 1, 1, 10))


def test_it_says_what_it_does():
    module = Reshape("n (c k) h w -> n c h (w k)", {"k": 4}, in_channels=12)
    assert module.describe(("height", "width")) == (
        "channels 12 -> 3 x 4, k = 4 moved into width",
        "height as before",
        "width x 4, k = 4 from channels",
    )
    assert Reshape("n c (t k) -> n (k c) t", {"k": 3}, in_channels=2).describe() == (
        "channels 2, k = 3 from t, now k 3 x c 2 = 6",
        "t / 3, k = 3 moved into channels",
    )
    assert Reshape("n c (t a b) -> n c (t b a)", {"a": 2, "b": 2}, in_channels=1).describe()[1] == (
        "t, reordered to t b a"
    )


@pytest.mark.parametrize(
    ("pattern", "sizes", "said"),
    [
        (
            "n c h w -> n c w h",
            {},
            r"h moves into w: axes cannot be swapped or merged in a stream;.*\(h k\)",
        ),
        (
            "n c h w -> n c (h w)",
            {},
            r"h and w cannot be merged in a stream:.* 'n c \(h k\) w -> n \(c k\)",
        ),
        ("n c h w -> n c 1 (h w)", {}, "h moves into w"),
        ("n c t -> n (c t) 1", {}, "t moves into channels: its length is the file's"),
        ("n c (k t) -> n (k c) t", {"k": 2}, r"\(k t\) strings stretches of t .*: write \(t k\)"),
        ("n (c k) t -> n c (k t)", {"k": 2}, r"\(k t\) strings stretches of t .*: write \(t k\)"),
        ("n c (t k) -> n (c k) t", {"k": 2, "t": 3}, "the length of t is the file's: give t none"),
        ("n c (t k) -> n (c k) t", {}, "t and k have none: give all but one"),
        ("n c (t k) -> n (c k) t", {"k": 0}, "k: got 0, expected at least 1"),
        ("n c t -> n c t", {"q": 1}, "got 'q', expected names of the pattern: n, c, t"),
        ("n c t -> n c t", {"n": 1}, "n is the batch"),
        ("c t -> t c", {}, "expected the batch first"),
        ("n c t -> n c", {}, "t is on the left alone: a reshape neither sums nor repeats"),
        ("n c t -> n c t r", {}, "r is on the right alone"),
        ("n c c -> n c c", {}, "c stands twice on the left"),
        ("n c ... -> n c ...", {}, "got '...'.*name every axis"),
        ("n c ((t k)) -> n c t k", {}, "parentheses do not match"),
        ("n c 1 -> n c 1", {}, "is 1 on the left: its length is the file's"),
        ("n (c k) t -> n c (t k)", {"k": 5}, "got 4 channels, expected a multiple of 5"),
        ("n (c k) t -> n c (t k)", {"k": 2, "c": 3}, "got 4 channels, expected 6"),
        ("n c t", {}, "with one '->'"),
        ("", {}, "with one '->'"),
        ("->", {}, "expected the batch first"),
    ],
)
def test_what_cannot_be_streamed_is_refused_with_what_to_write(pattern, sizes, said):
    with pytest.raises(ValueError, match=said):
        Reshape(pattern, sizes, in_channels=4)


def test_inputs_of_other_shapes_are_refused():
    module = Reshape("n (c k) t -> n c (t k)", {"k": 2}, in_channels=4)
    with pytest.raises(ValueError, match="got 6 channels, this reshape was made for 4"):
        module(torch.zeros(1, 6, 3))
    with pytest.raises(ValueError, match=r"got shape \(1, 4, 3, 3\), expected 3 axes"):
        module(torch.zeros(1, 4, 3, 3))
    assert module(torch.zeros(1, 4, 0)).shape == (1, 2, 0)


def test_the_patterns_in_the_docs_stream():
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "axes.md").read_text()
    patterns = re.findall(r"^\| `([^`]+->[^`]+)` \|", page, re.M)
    assert len(patterns) == 4
    for pattern in patterns:
        sizes = {name: 2 for name in "kabg" if re.search(rf"\b{name}\b", pattern)}
        assert Reshape(pattern, sizes, in_channels=4).sizes["c"] in (2, 4)
