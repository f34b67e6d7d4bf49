"""A stack from its YAML file, as a notebook loads it."""

from __future__ import annotations

import torch

from mediaconv import load_stack

CONFIG = """
pipeline: image
input: .
output: out
stack:
  - conv: {out_channels: 2, kernel_size: 3}
  - relu
"""


def test_a_stack_is_loaded_with_overrides_and_shown_as_its_trace(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(CONFIG)
    stack = load_stack(path, channels=3, overrides=["stack.0.conv.kernel_size=5"])
    assert stack[0].weight.shape == (2, 3, 5, 5)
    assert not stack.training
    expected = torch.nn.functional.conv2d(x := torch.ones(1, 3, 6, 6), *stack[0].parameters(), padding=2)
    torch.testing.assert_close(stack(x), expected.relu())
    shown = stack._repr_html_()
    assert "Conv2d 5×5" in shown
    assert f"{2 * 3 * 25 + 2}" in shown


def test_a_stack_in_float64_takes_what_it_plots(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(CONFIG + "precision: float64\n")
    stack = load_stack(path, channels=1)
    x = torch.rand(1, 8, 8)
    assert stack.plot(x).data == stack.plot(x.double()).data
