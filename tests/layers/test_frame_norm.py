"""Group norms of each frame by itself: torch's on every frame, causal, exact in chunks; others are leaks."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from mediaconv.compare.prove.verdict import prove_config
from mediaconv.config import load_config
from mediaconv.errors import ConfigError
from mediaconv.model.build import build_stack
from mediaconv.nn import FrameGroupNorm
from mediaconv.pipeline import find
from tests.nn.contract import verify_contract
from tests.pipelines.one_run import parsed

SHAPES = {1: (2, 4, 9), 2: (2, 4, 7, 6), 3: (2, 4, 6, 5, 3)}


def norm(dims: int, time_axis: int = 0) -> FrameGroupNorm:
    torch.manual_seed(dims)
    made = FrameGroupNorm(2, 4, time_axis=time_axis, dtype=torch.float64)
    torch.nn.init.normal_(made.weight)
    torch.nn.init.normal_(made.bias)
    return made.eval()


@pytest.mark.parametrize(("dims", "time_axis"), [(1, 0), (2, 0), (2, 1), (3, 0)])
def test_each_frame_is_torchs_group_norm_of_it(dims, time_axis):
    made, x = norm(dims, time_axis), torch.randn(SHAPES[dims], dtype=torch.float64)
    frames = [F.group_norm(frame, 2, made.weight, made.bias, made.eps) for frame in x.unbind(time_axis + 2)]
    assert torch.allclose(made(x), torch.stack(frames, time_axis + 2), rtol=0, atol=1e-14)
    assert list(made.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("plan", [[1] * 9, [4, 0, 3], [20]])
def test_it_streams_along_time_and_is_causal(dims, plan):
    verify_contract(norm(dims), SHAPES[dims], plan, causal=True)


def test_along_another_axis_it_needs_the_whole():
    verify_contract(norm(2, time_axis=1), SHAPES[2], [2, 1, 3], measure="no")
    assert norm(2, time_axis=1).axis_map(0).whole


@pytest.mark.parametrize(
    ("pipeline", "keys"),
    [
        ("audio", {"causal": True}),
        ("video", {"causal": "mask"}),
        ("image", {"causal": "pad", "time_axis": 1}),
    ],
)
def test_a_causal_stack_takes_a_group_norm_over_frames(pipeline, keys):
    stack = [{"group_norm": {"num_groups": 2, "over": "frame"}}]
    config = parsed(pipeline=pipeline, input="in", output="out", stack=stack, **keys)
    made = build_stack(config, find(pipeline), channels=4)[0]
    assert isinstance(made, FrameGroupNorm)
    assert made.time_axis == keys.get("time_axis", 0)


def test_an_image_without_time_has_no_frames():
    stack = [{"group_norm": {"num_groups": 1, "over": "frame"}}]
    for causal in (False, True):
        with pytest.raises(
            ConfigError, match=r"group_norm\.over: got frame, expected all: of an image no axis"
        ):
            parsed(pipeline="image", input="in", output="out", stack=stack, causal=causal)


@pytest.mark.parametrize("layer", ["group_norm: {num_groups: 2}", "instance_norm"])
def test_what_is_refused_is_named_and_prove_shows_its_leak(layer, tmp_path):
    path = tmp_path / "c.yaml"
    head = "pipeline: audio\ninput: in\noutput: out\ncausal: true\nstack:\n"
    path.write_text(f"{head}- conv: {{out_channels: 4, kernel_size: 3}}\n- {layer}\n")
    with pytest.raises(ConfigError, match=r"c\.yaml:7: .* or group_norm: \{over: frame\}"):
        load_config(path)
    verdict = prove_config(load_config(path, refuse_leaks=False), find("audio"), files=False)
    assert not verdict.causal
    assert verdict.lookahead is None
    assert [leak.layer.split()[0] for leak in verdict.leaks] == [f"stack[1].{layer.split(':')[0]}"]
