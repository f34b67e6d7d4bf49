"""An LSTM's weights in the order that oneDNN computes in, made once and not anew in every call.

torch changes that order in each call: of 512 channels and 15 steps, half the time of the call; of one step,
nine tenths.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from mediaconv.nn.backends.algorithms import is_recorded, onednn_takes
from mediaconv.nn.backends.kept_weights import KeptWeights

_LSTM = 2
"""oneDNN's number of the kind."""


class PackedLSTM(KeptWeights):
    """The weights of an LSTM that reads forward: of each layer two matrices, and two vectors with biases."""

    def __init__(self, *weights: Tensor, biases: bool) -> None:
        super().__init__(weights)
        self._biases = biases
        self._packed: dict[int, list[Tensor]] = {}

    def __deepcopy__(self, memo: dict) -> PackedLSTM:
        return PackedLSTM(*self._weights, biases=self._biases)

    def __reduce__(self) -> tuple:
        return partial(PackedLSTM, biases=self._biases), tuple(self._weights)

    def takes(self, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
        """Whether torch would give this call to oneDNN, and nothing records it."""
        plain = all(w.dtype == torch.float32 and w.is_cpu for w in weights) and len(state) == 2
        projected = state[0].shape[-1] != state[1].shape[-1]
        return (
            plain
            and not projected
            and x.is_cpu
            and x.numel() > 0
            and onednn_takes(x)
            and not is_recorded(x, *state, *weights)
            and not torch.compiler.is_compiling()
            and not torch.jit.is_tracing()
        )

    def run(self, x: Tensor, state: Sequence[Tensor], batch_first: bool) -> list[Tensor]:
        """Output and last states. Shape: x (T, N, C), with batch_first (N, T, C); states (layers, N, H)."""
        hidden = state[0].shape[-1]
        each = 4 if self._biases else 2
        x = x.transpose(0, 1) if batch_first else x
        ends: list[tuple[Tensor, Tensor]] = []
        for layer in range(len(self._weights) // each):
            w = self._weights[layer * each : (layer + 1) * each]
            matrices = self._packed.get(layer)
            if matrices is None:
                self.note()
                reorder = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight
                matrices = reorder(w[0], w[1], hidden, False, self._biases, False, list(x.shape))
                self._packed[layer] = matrices
            vectors = w[2:] if self._biases else [torch.zeros(4 * hidden), torch.zeros(4 * hidden)]
            h, c = (s[layer : layer + 1].contiguous() for s in state)
            x, h, c, _ = torch.ops.aten.mkldnn_rnn_layer(
                x.contiguous(), *matrices, *vectors, h, c, False, [], _LSTM, hidden, 1, self._biases, False,
                False, False,
            )  # fmt: skip
            ends.append((h.reshape(1, *state[0].shape[1:]), c.reshape(1, *state[1].shape[1:])))
        h, c = (torch.cat(each) for each in zip(*ends, strict=True))
        return [x.transpose(0, 1) if batch_first else x, h, c]
