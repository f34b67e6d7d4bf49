"""What the page of layers and streams says of torch.compile and torch.export: one graph, exported."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import nn as tn
from torch._dynamo.testing import CompileCounter

from mediaconv import nn
from mediaconv.nn.streaming.protocol import init_state, step
from mediaconv.nn.streaming.state import State


def stack() -> tn.Module:
    return nn.Sequential(
        nn.CausalConv1d(2, 4, 5, dilation=2),
        tn.GELU(),
        nn.Residual(nn.CausalConv1d(4, 4, 3)),
        nn.CausalConv1d(4, 2, 3, 2),
    ).eval()


def test_a_compiled_step_is_two_graphs_the_first_chunk_and_all_others() -> None:
    module, x = stack(), torch.randn(1, 2, 64 * 8)
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(step, backend=counter, fullgraph=True)
    state = init_state(module, 0)
    with torch.no_grad():
        outputs = [compiled(module, chunk, state, axis=0, last=False) for chunk in x.split(64, 2)]
        whole = module(x)
    assert counter.frame_count == 2
    torch.testing.assert_close(torch.cat(outputs, 2), whole, rtol=0, atol=1e-6 * float(whole.abs().max()))


class Exportable(tn.Module):
    """A step in mid-stream as a function of tensors: chunk and buffers in, outputs and buffers out."""

    def __init__(self, module: tn.Module, state: State) -> None:
        super().__init__()
        self.module, self.state = module, state

    def forward(self, x: Tensor, *buffers: Tensor) -> tuple[Tensor, ...]:
        state = self.state.copy()
        for holder, buffer in zip(holders(state), buffers, strict=True):
            holder.tensors["buffer"] = buffer
        y = step(self.module, x, state, axis=0, last=False)
        return (y, *buffers_of(state))


def holders(state: State) -> list[State]:
    inner = [holder for child in state.children for holder in holders(child)]
    return ([state] if state.tensors.get("buffer") is not None else []) + inner


def buffers_of(state: State) -> list[Tensor]:
    return [t for holder in holders(state) if (t := holder.tensors["buffer"]) is not None]


def test_an_exported_step_streams() -> None:
    module, x = stack(), torch.randn(1, 2, 64 * 5)
    state = init_state(module, 0)
    with torch.no_grad():
        outputs = [step(module, x[..., :64], state, axis=0, last=False)]
        buffers = buffers_of(state)
        program = torch.export.export(Exportable(module, state), (x[..., 64:128], *buffers)).module()
        for chunk in x[..., 64:].split(64, 2):
            y, *buffers = program(chunk, *buffers)
            outputs.append(y)
        assert torch.equal(torch.cat(outputs, 2), module(x))
