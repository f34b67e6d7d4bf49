"""What a stack holds in memory, against sums done by hand; what is too much is refused before it is made."""

from __future__ import annotations

import time

import psutil
import pytest

from mediaconv.config.validation_context import ValidationContext
from mediaconv.errors import ConfigError, UsageError
from mediaconv.layers import BuildContext
from mediaconv.layers.construct import build_sequence
from mediaconv.layers.memory_budget import MemoryBudget, Signal
from mediaconv.model.build import build_stack
from mediaconv.pipeline import find
from tests.pipelines.one_run import parsed


def held(pipeline: str, stack: list[object], shape: tuple[int | None, ...], channels: int) -> int:
    """Bytes that the estimate says a stack holds besides its working memory."""
    config = parsed(pipeline=pipeline, input="in", output="out", stack=stack)
    file = ValidationContext.of(find(pipeline), causal=False, time_axis=0)
    budget = MemoryBudget()
    build_sequence(config.stack, BuildContext(Signal.of(channels, shape), file, budget))
    return budget.held


def refused(pipeline: str, layer: object, shape: tuple[int | None, ...] | None = None, **limits: int) -> str:
    config = parsed(pipeline=pipeline, input="in", output="out", stack=[layer], limits=limits)
    with pytest.raises(UsageError) as caught:
        build_stack(config, find(pipeline), channels=3, shape=shape)
    return str(caught.value)


def test_weights_and_what_the_stream_keeps_are_counted():
    conv = {"conv": {"out_channels": 8, "kernel_size": 5}}
    # 8 x 3 x 5 weights; 4 samples of 3 channels are kept; 4 bytes each
    assert held("audio", [conv], (None,), 3) == 4 * (8 * 3 * 5 + 4 * 3)
    # two outputs of the convolution for each of the gate
    assert held("audio", [{"gated": conv["conv"]}], (None,), 3) == 4 * (2 * 8 * 3 * 5 + 4 * 3)
    # 4 rows of 20 columns, and 2 of padding at each side
    assert held("image", [conv], (10, 20), 3) == 4 * (8 * 3 * 25 + 4 * 3 * 24)
    # a file of 2 samples, padded by 4, is all that is ever kept of a window of 5
    wide = {"max_pool": {"kernel_size": 1001, "stride": 1}}
    assert held("audio", [wide], (10,), 3) == 4 * 3 * 1000
    assert held("audio", [{"conv": {**conv["conv"], "dilation": 100, "padding": "valid"}}], (2,), 3) == 4 * (
        8 * 3 * 5 + 3 * 2
    )


def test_what_needs_the_whole_file_counts_the_whole_file():
    assert held("audio", [{"group_norm": {"num_groups": 1}}], (1000,), 3) == 4 * 3 * 1000


def test_sizes_follow_from_layer_to_layer():
    up = {"upsample": {"scale_factor": 4}}
    conv = {"conv": {"out_channels": 1, "kernel_size": 3}}
    # after the upsampling a row has 80 columns, and 82 with padding; 2 rows of it are kept
    assert held("image", [up, conv], (10, 20), 3) == 4 * (3 * 9 + 2 * 3 * 82)
    assert held("image", [{"residual": {"layers": [up, conv], "shortcut": [up, conv]}}], (10, 20), 3) == (
        2 * 4 * (3 * 9 + 2 * 3 * 82)
    )


@pytest.mark.parametrize(
    ("pipeline", "layer", "name"),
    [
        ("image", {"pixel_unshuffle": {"downscale_factor": 30_000}}, "pixel_unshuffle"),
        ("image", {"upsample": {"scale_factor": 1_000_000}}, "upsample"),
        ("image", {"max_pool": {"kernel_size": 1_000_000}}, "max_pool"),
        ("image", {"conv": {"out_channels": 1, "kernel_size": 3, "dilation": 1_000_000}}, "conv"),
        ("image", {"conv": {"out_channels": 1, "kernel_size": 16_000}}, "conv"),
        ("image", {"deform_conv": {"out_channels": 1, "kernel_size": 300}}, "deform_conv"),
        ("video", {"conv_transpose": {"out_channels": 1, "kernel_size": 1, "stride": 999}}, "conv_transpose"),
        ("audio", {"conv": {"out_channels": 1_000_000, "kernel_size": 999}}, "conv"),
        ("audio", {"gated": {"out_channels": 1_000_000, "kernel_size": 999}}, "gated"),
        ("audio", {"residual": [{"max_pool": {"kernel_size": 10**6, "stride": 1}}] * 30}, "residual.layers"),
    ],
)  # fmt: skip
def test_too_much_is_refused_before_it_is_made_and_names_the_layer(pipeline, layer, name):
    before = psutil.Process().memory_info().rss
    began = time.process_time()
    # the limit is given so that machines of any size refuse
    said = refused(pipeline, layer, max_memory=300_000_000)
    assert f": stack[0].{name}" in said
    assert ": needs at least " in said
    assert said.startswith("<config>:")
    assert said.endswith("more than limits.max_memory: 0.28 GiB")
    assert time.process_time() - began < 2
    assert psutil.Process().memory_info().rss - before < 100 * 2**20


def test_a_file_for_each_of_a_million_channels_is_refused():
    layer = {"conv": {"out_channels": 1_000_000, "kernel_size": 1}}
    assert "an output of 1000000 channels" in refused("audio", layer, max_memory=4 * 2**30)


def test_the_limit_is_the_first_that_does_not_do():
    # 8 x 3 x 5 weights are drawn in 12 bytes each
    config = {"conv": {"out_channels": 8, "kernel_size": 5}}
    assert "its weights" in refused("audio", config, max_memory=12 * 120 - 1)
    # 899 samples of 3 channels are kept; joined to a new one they are held twice, and 3 values come out
    pool = {"max_pool": {"kernel_size": 900, "stride": 1}}
    needed = 4 * (2 * 900 * 3 + 3)
    assert "its input and output" in refused("audio", pool, max_memory=needed - 1)
    config = parsed(pipeline="audio", input="in", output="out", stack=[pool], limits={"max_memory": 10**6})
    assert len(build_stack(config, find("audio"), channels=3)) == 1


@pytest.mark.parametrize("size", [2**20 + 1, 10**7, 10**9])
@pytest.mark.parametrize("key", ["kernel_size", "stride", "dilation", "out_channels", "groups", "padding"])
def test_numbers_that_fit_nothing_are_refused_with_their_key(key, size):
    keys = {"out_channels": 1, "kernel_size": 3} | {key: size}
    with pytest.raises(
        ConfigError, match=rf"stack\[0\]\.conv\.{key}: got {size}, expected .*an integer from [01] to 1048576"
    ):
        parsed(pipeline="audio", input="in", output="out", stack=[{"conv": keys}])


def test_a_total_stride_that_no_input_has_is_refused_with_its_layer() -> None:
    halves = [{"max_pool": {"kernel_size": 2, "stride": 2}}] * 990
    config = parsed(pipeline="audio", input="in", output="out", stack=halves)
    words = r"stack\[40\]\.max_pool: with the layers before it a total stride of 2199023255552, expected"
    with pytest.raises(UsageError, match=words):
        build_stack(config, find("audio"), channels=1)
