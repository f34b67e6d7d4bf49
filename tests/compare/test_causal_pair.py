"""The causal and the standard twin have the same numbers; what has no twin is said."""

from __future__ import annotations

import pytest
import torch

import mediaconv.nn as mnn
from mediaconv.compare.causal_pair import causal_pair, pair
from mediaconv.config import parse_config
from mediaconv.errors import UsageError
from mediaconv.model.build import build_stack
from mediaconv.pipeline import find

TEXT = """
pipeline: image
input: in
output: out
seed: 5
causal: {causal}
stack:
  - conv: {{out_channels: 4, kernel_size: 3}}
  - relu
  - residual: [{{conv: {{out_channels: 4, kernel_size: 5, causal: {inner}}}}}]
"""


def stacks(text):
    config = parse_config(text)
    pipeline = find(config.pipeline)
    return [build_stack(side.config, pipeline, channels=3) for side in causal_pair(config)]


@pytest.mark.parametrize("causal", ["false", "true", "mask", "pad"])
@pytest.mark.parametrize("inner", ["false", "mask"])
def test_twins_share_every_number_that_the_causal_one_uses(causal, inner):
    causal_stack, standard_stack = stacks(TEXT.format(causal=causal, inner=inner))
    assert mnn.geometry(standard_stack).latency > 0
    assert mnn.geometry(causal_stack).latency == 0
    state = causal_stack.state_dict()
    assert state.keys() == standard_stack.state_dict().keys()
    for key, other in standard_stack.state_dict().items():
        used = state[key] != 0
        assert used.any()
        assert torch.equal(state[key][used], other[used])
        assert (other != 0).all()


def test_the_causal_twin_keeps_each_layers_own_mode():
    config = parse_config(TEXT.format(causal="pad", inner="mask"))
    causal, standard = causal_pair(config)
    assert causal.config.stack[2].layers[0].causal == "mask"
    assert causal.config.causal == "pad"
    assert standard.config.causal is False
    assert standard.config.stack[2].layers[0].causal is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("normalize: minmax", "minmax"),
        ("  - instance_norm", "instance_norm"),
        ("  - conv: {out_channels: 1, kernel_size: 3, padding: 2}", "padding"),
    ],
)
def test_what_has_no_causal_twin_is_said(line, why):
    text = TEXT.format(causal="false", inner="false") + line + "\n"
    with pytest.raises(UsageError, match=f"(?s)no causal twin.*{why}"):
        causal_pair(parse_config(text))


def test_two_files_are_told_apart():
    image = parse_config(TEXT.format(causal="true", inner="false"))
    a, b = pair(image, image, ("x/run.yaml", "y/run.yaml"))
    assert (a.name, b.name) == ("run_a", "run_b")
    a, b = pair(image, image, ("input.yaml", "other.yaml"))
    assert (a.name, b.name) == ("input_config", "other")
    film = parse_config("pipeline: video\ninput: i\noutput: o\nstack: [relu]\n")
    with pytest.raises(UsageError, match="one pipeline"):
        pair(image, film, ("a.yaml", "b.yaml"))
