"""A model called with our layout of axes; which layout it has itself is `axes`' business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediaconv.model_files.axes import AxesPattern


class AdaptedModel(nn.Module):
    """A model called with our layout, (N, C, ...), and giving it back.

    letters: of our axes, the stream axis first. window: frames in the channels, 1 for none; output frame j is
    made of frames j - (window - 1) // 2 and on, or, where `causal`, of those up to j.
    """

    def __init__(
        self,
        model: nn.Module,
        pattern: AxesPattern,
        letters: tuple[str, ...],
        *,
        window: int = 1,
        causal: bool = False,
        output: str | int | None = None,
    ) -> None:
        super().__init__()
        self.model, self.pattern, self.letters = model, pattern, letters
        self.window, self.causal, self.output = window, causal, output
        self.captured_as = getattr(model, "captured_as", type(model).__name__)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to (N, C', ...')."""
        if self.window > 1:
            x = self._gathered(x)
        y = self._selected(self.model(self._to_model(x)))
        return self._from_model(y, x.shape[0])

    def _gathered(self, x: Tensor) -> Tensor:
        """The frames of each window beside each other in the channels, those past the ends zero."""
        before = self.window - 1 if self.causal else (self.window - 1) // 2
        pads = [0, 0] * (x.ndim - 3) + [before, self.window - 1 - before]
        padded = F.pad(x, pads)
        count = x.shape[2]
        return torch.cat([padded.narrow(2, i, count) for i in range(self.window)], 1)

    def _names(self) -> list[str]:
        """Our axes in the order in which the model has them."""
        return [name for token in self.pattern.order for name in token.split() if name != "1"]

    def _to_model(self, x: Tensor) -> Tensor:
        ours = ["n", "c", *self.letters]
        x = x.permute([ours.index(name) for name in self._names()])
        if any(" " in token for token in self.pattern.order):
            x = x.flatten(0, 1)
        for i, token in enumerate(self.pattern.order):
            x = x.unsqueeze(i) if token == "1" else x
        return x

    def _from_model(self, y: Tensor, batch: Any) -> Tensor:
        ones = [i for i, token in enumerate(self.pattern.order) if token == "1"]
        for i in reversed(ones):
            y = y.squeeze(i)
        if any(" " in token for token in self.pattern.order):
            y = y.unflatten(0, (batch, -1))
        names = self._names()
        return y.permute([names.index(name) for name in ["n", "c", *self.letters]])

    def _selected(self, result: Any) -> Tensor:
        from mediaconv.nn.graph.capture.captured import select

        return select(result, self.output)


def free_batch(model: nn.Module, shape: Sequence[int]) -> None:
    """Let a model that was exported for a batch of one take several items, if each comes out as alone.

    shape: of one item with its batch, (1, ...). Raises ValueError where it does not.
    """
    for number, hook in list(model._forward_pre_hooks.items()):
        if getattr(hook, "__name__", "") == "_check_input_constraints_pre_hook":  # torch.export's own
            del model._forward_pre_hooks[number]
            model._forward_pre_hooks_with_kwargs.pop(number, None)
    items = torch.randn(3, *shape[1:], generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            together = _tensors(model(items))
            alone = [_tensors(model(item[None])) for item in items]
        same = all(
            torch.allclose(y, torch.cat(parts), rtol=1e-4, atol=1e-5 * float(y.abs().max()))
            for y, *parts in zip(together, *alone, strict=True)
        )
    except Exception:  # a size of one is written into the model: whatever torch says of it
        same = False
    if not same:
        raise ValueError(
            "it was exported for a batch of 1 and does not take several frames at once: export it with a "
            "batch of any size (dynamic_shapes or dynamic_axes with 0)"
        )


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    values = result.values() if hasattr(result, "values") else result
    return [value for value in values if isinstance(value, Tensor)]
