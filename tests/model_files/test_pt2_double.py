"""`.pt2` models in 64 bits: a run in float64 computes with the file's own weights, not with rounded ones."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export, save

import mediaconv
from mediaconv.nn import stream, to_streaming


class Double(nn.Module):
    """A convolution, a buffer and a constant in 64 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 3, 5, padding=2).double()
        self.register_buffer("scale", torch.tensor([1 / 3], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.scale + 0.1


class Sloped(Double):
    """It takes the type of its input, which its export names."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.arange(3, dtype=x.dtype).view(3, 1) / 7


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_weights_in_64_bits_are_not_rounded_in_a_run_in_float64(tmp_path, precision):
    torch.manual_seed(0)
    model, path = Sloped().eval(), tmp_path / "double.pt2"
    example = torch.randn(1, 2, 32, dtype=torch.float64)
    save(export(model, (example,), dynamic_shapes=({2: Dim.AUTO},)), path)
    x = np.random.default_rng(0).standard_normal((2, 40))
    with torch.no_grad():
        wanted = model(torch.from_numpy(x)[None])[0].numpy()
    y = mediaconv.convert([{"model": str(path)}], x, normalize="none", precision=precision, chunk=7)
    # each type's own rounding, of sums of ten products
    np.testing.assert_allclose(y, wanted, rtol=0, atol={"float64": 1e-14, "float32": 1e-5}[precision])


def test_a_copy_of_a_captured_program_moves_all_of_it() -> None:
    model = Double().float().eval()
    program = export(model, (torch.randn(1, 2, 32),), dynamic_shapes=({2: Dim.AUTO},))
    graph = copy.deepcopy(to_streaming(program, example=torch.randn(1, 2, 32))).double()
    graph.scale.fill_(2.0)
    x = torch.randn(1, 2, 20, dtype=torch.float64)
    model.double().scale.fill_(2.0)
    with torch.no_grad():
        wanted, y = model(x), torch.cat([(s := stream(graph)).push(x), s.flush()], 2)
        torch.testing.assert_close(graph(x), wanted, rtol=0, atol=1e-14)
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-14)
