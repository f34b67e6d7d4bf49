"""The folded kernel equals torch's conv3d, and the choice between them does not show."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn import kernels
from tests.nn.contract import run


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_folding_is_conv3d(grad: bool, layout: torch.memory_format) -> None:
    for depth, stride, dilation, groups in itertools.product((1, 2, 3), (1, 2), (1, 2), (1, 2)):
        x = torch.randn(2, 4, 6, 5, 7, dtype=torch.float64).contiguous(memory_format=layout)
        w = torch.randn(6, 4 // groups, depth, 3, 2, dtype=torch.float64, requires_grad=grad)
        b = torch.randn(6, dtype=torch.float64)
        arguments = (x, w, b, (stride, 2, 1), (0, 1, 1), (dilation, 1, 2), groups)
        ours, theirs = kernels.folded_conv3d(*arguments), F.conv3d(*arguments)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
        if grad:
            weights = torch.randn_like(ours)
            gradients = [torch.autograd.grad((y * weights).sum(), w)[0] for y in (ours, theirs)]
            torch.testing.assert_close(*gradients, rtol=0, atol=1e-11)


def test_frames_large_enough_are_folded_with_the_same_result() -> None:
    module = nn.CausalConv3d(2, 3, 3)
    x = torch.randn(1, 2, 5, 40, 40)
    with torch.inference_mode():
        assert kernels._folding_pays(x, (0, 1, 1))
        y = run(nn.stream(module), x.split(1, 2))
        theirs = F.conv3d(F.pad(x, (1, 1, 1, 1, 2, 0)), module.weight, module.bias)
    torch.testing.assert_close(y, theirs, rtol=0, atol=1e-6 * float(theirs.abs().max()))
