"""Models that refuse float64 weights are proven in the types that they were written for."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mediaconv
from mediaconv.nn import to_streaming
from mediaconv.nn.summary.receptive_field import receptive


class Literal(nn.Module):
    """Its weights are float32, and so is what it is given."""

    def __init__(self, ahead: int) -> None:
        super().__init__()
        self.ahead, self.conv = ahead, nn.Conv1d(1, 2, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (4 - self.ahead, self.ahead)).float())


class TwoTypes(Literal):
    """Weights in float16 before those in float32."""

    def __init__(self, ahead: int) -> None:
        super().__init__(ahead)
        self.first = nn.Conv1d(1, 1, 3).half()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.first(F.pad(x, (2, 0)).half()))


def read_ahead(model: nn.Module) -> int:
    """Steps ahead that any output reads, one input after the other set to another value."""
    x = torch.randn(1, 1, 40)
    with torch.no_grad():
        y, furthest = model(x), 0
        for t in range(40):
            changed = x.clone()
            changed[0, 0, t] += 1
            differs = (model(changed) != y).any(1)[0].nonzero()
            furthest = max(furthest, t - int(differs[0]))
    return furthest


@pytest.mark.parametrize("kind", [Literal, TwoTypes])
@pytest.mark.parametrize("ahead", [0, 2])
def test_a_model_in_types_of_its_own_is_proven(kind: type[Literal], ahead: int) -> None:
    torch.manual_seed(0)
    model = kind(ahead).eval()
    assert read_ahead(model) == ahead
    before = {name: t.clone() for name, t in model.state_dict().items()}
    for one in (model, to_streaming(model, example=torch.zeros(1, 1, 40))):
        proof = mediaconv.prove(one, channels=1, seconds=0.2)
        assert (proof.causal, proof.lookahead) == (not ahead, ahead)
        assert proof.by == {"gradient": ahead, "perturbation": ahead}
    assert all(
        t.dtype == before[n].dtype and torch.equal(t, before[n]) for n, t in model.state_dict().items()
    )


@pytest.mark.parametrize("kind", [Literal, TwoTypes])
def test_its_receptive_field_is_measured(kind: type[Literal]) -> None:
    torch.manual_seed(0)
    streaming = to_streaming(kind(1).eval(), example=torch.zeros(1, 1, 40))
    (cone,) = receptive(nn.Sequential(streaming), axes=("time",), channels=1)
    field = 5 if kind is Literal else 7
    assert cone.measured == cone.formula
    assert (cone.measured.receptive_field, cone.measured.latency) == (field, 1)
