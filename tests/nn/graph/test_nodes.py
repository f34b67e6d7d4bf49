"""A captured model operation by operation in a trace: where each comes from, its sizes, reads and cost."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import mediaconv
from mediaconv.nn.summary.trace_table import trace_text


class Net(nn.Module):
    """Two paths, of which one halves the rate twice by the same layers, and a norm over the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 4, 5, padding=2)
        self.body = nn.Sequential(nn.Conv1d(4, 4, 3, 2, 1), nn.BatchNorm1d(4), nn.ReLU())
        self.shortcut = nn.Conv1d(4, 4, 1, 2)
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        return self.norm(self.body(self.body(x) + self.shortcut(x)))


def test_each_operation_of_a_model_has_a_row() -> None:
    made = mediaconv.trace(Net().eval(), (2, 100))
    rows = {row.name: row for row in made.rows[1:]}
    assert list(rows) == [
        "first", "relu", "body.0", "body.1", "body.2", "shortcut", "add", "body.0 (2)", "body.1 (2)",
        "body.2 (2)", "norm",
    ]  # fmt: skip
    first, again = rows["first"], rows["body.0 (2)"]
    assert (first.layer, first.before, first.after) == ("conv1d 5", (2, 100), (4, 100))
    assert (first.receptive_field, first.latency, first.lookahead) == ((5,), 2, 2)
    assert (first.parameters, first.multiply_adds) == (2 * 4 * 5 + 4, 100 * 4 * 2 * 5)
    # 5 taps, then 3 at each, then 3 at every second: 5 + 2 + 2 * 2
    assert (again.receptive_field, again.stride, again.after) == ((11,), (4,), (4, 25))
    assert (again.latency, again.lookahead, again.parameters) == (2 + 1 + 2, 1, 0)
    assert rows["norm"].latency == rows["norm"].lookahead == float("inf")
    assert made.total.parameters == sum(row.parameters for row in rows.values())
    assert made.total.multiply_adds == sum(row.multiply_adds for row in rows.values())
    assert max(map(len, trace_text(made, width=80).splitlines())) <= 80


def test_an_operation_is_explained_along_each_axis() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, (3, 5), (2, 1), (1, 2)), nn.ReLU())

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) * 2

    from mediaconv.nn.summary.size_formula import explain

    made = mediaconv.trace(Wrapped().eval(), (1, 20, 12))
    row = made.layer("net.0")
    assert (row.receptive_field, row.after) == ((3, 5), (4, 10, 12))
    said = explain(row, made.axes)
    assert "/ 2) + 1 = 10" in said
    assert "/ 1) + 1 = 12" in said
    assert torch.is_tensor(net(torch.zeros(1, 1, 20, 12)))
