"""The operations of a captured model, beside what torch's own hooks see of its modules."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mediaconv.nn import to_streaming
from mediaconv.nn.graph.operation_outputs import Outputs, operations_of, outputs_of


class Sound(nn.Module):
    """Weights by norm, transposed, channels last, a recurrence, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.utils.parametrizations.weight_norm(nn.Conv1d(1, 8, 9, padding=4))
        self.b = nn.ConvTranspose1d(8, 8, 4, 2, 1)
        self.linear = nn.Linear(8, 6)
        self.norm = nn.LayerNorm(6)
        self.gru = nn.GRU(6, 5, batch_first=True)
        self.c = nn.Conv1d(5, 1, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(torch.relu(self.a(x))).transpose(1, 2)
        y, _ = self.gru(self.norm(self.linear(y)))
        return x + self.c(y.transpose(1, 2))


class Film(nn.Module):
    """A model of images over the frames of a film, and one over time."""

    def __init__(self) -> None:
        super().__init__()
        self.still = nn.Conv2d(3, 4, 3, padding=1)
        self.time = nn.Conv3d(4, 2, (3, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        n, c, t, h, w = x.shape
        y = self.still(x.transpose(1, 2).reshape(n * t, c, h, w)).sigmoid()
        return self.time(y.reshape(n, t, 4, h, w).transpose(1, 2))


def found(
    model: nn.Module, example: Tensor, x: Tensor
) -> tuple[dict[str, Outputs], dict[str, Tensor], Tensor]:
    """What is told of operations by their names, what hooks saw of modules, and the output."""
    model = model.eval()
    graph = to_streaming(model, example=example)
    outputs = {o.operation.name: o for o in outputs_of(graph, [x])}
    seen: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, given: object, made: object) -> None:
        seen[name] = made[0] if isinstance(made, tuple) else made  # type: ignore[assignment]

    for name, module in model.named_children():
        module.register_forward_hook(partial(keep, name))
    return outputs, seen, model(x)


@pytest.mark.parametrize("length", [64, 90])
def test_operations_of_sound_are_what_its_modules_give(length: int) -> None:
    x = torch.randn(1, 1, length)
    outputs, seen, y = found(Sound(), torch.randn(1, 1, 64), x)
    assert list(outputs) == ["a", "relu", "b", "linear", "norm", "gru", "c", "add"]
    for name, value in seen.items():
        if name in ("linear", "norm", "gru"):
            value = value.transpose(1, 2)
        # the recurrence is an operation of our own: sums in another order
        torch.testing.assert_close(outputs[name].values[0], value, rtol=1e-5, atol=1e-6)
        assert outputs[name].operation.shape == tuple(value.shape[1:])
    torch.testing.assert_close(outputs["add"].values[0], y, rtol=1e-5, atol=1e-6)
    sources = {name: o.operation.sources for name, o in outputs.items()}
    assert sources["a"] == ("",)
    assert sources["linear"] == ("b",)
    assert sources["add"] == ("", "c")
    strides = {name: o.operation.along.total_stride for name, o in outputs.items()}
    assert strides["a"] == strides["c"] == 1
    assert strides["gru"] * 2 == 1


def test_convolutions_are_layers_of_their_weights() -> None:
    model = Sound()
    x = torch.randn(1, 1, 64)
    outputs, seen, _ = found(model, x, x)
    for name in ("a", "b", "c"):
        layer, (given,) = outputs[name].convolution, outputs[name].given
        torch.testing.assert_close(layer.weight, getattr(model, name).weight, rtol=0, atol=0)
        torch.testing.assert_close(layer(given), seen[name], rtol=1e-5, atol=1e-6)
    assert outputs["linear"].convolution is None


def test_frames_that_were_a_batch_stand_in_time_again() -> None:
    x = torch.randn(1, 3, 5, 6, 7)
    outputs, seen, y = found(Film(), torch.randn(1, 3, 4, 6, 7), x)
    assert list(outputs) == ["still", "sigmoid", "time"]
    torch.testing.assert_close(
        outputs["still"].values[0], seen["still"].transpose(0, 1)[None], rtol=0, atol=0
    )
    assert outputs["still"].convolution is None  # its kernel slides over pictures, not over the film
    assert outputs["time"].convolution is not None
    torch.testing.assert_close(outputs["time"].values[0], y, rtol=1e-6, atol=1e-6)


def test_a_twin_in_the_past_is_not_taken_apart() -> None:
    """It computes something else than the graph that was captured."""
    graph = to_streaming(Sound().eval(), example=torch.zeros(1, 1, 64))
    assert operations_of(graph, (1, 64))
    graph._into_past = True
    assert operations_of(graph, (1, 64)) == []
