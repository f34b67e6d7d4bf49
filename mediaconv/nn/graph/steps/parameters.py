"""A program's parameters and buffers as they are now, found quickly: a stream asks for them in every step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Parameters:
    """Parameters and buffers of a module by their dotted names, and tensors that belong to no module.

    The modules that hold them are found once, and again where one of them was replaced in its parent. Their
    own dictionaries are asked in every call, so that what is loaded, moved or assigned is seen.
    """

    def __init__(self, module: nn.Module, names: Mapping[int, str], constants: Mapping[int, Tensor]) -> None:
        self._module, self._names, self._constants = module, names, constants
        self._edges: list[tuple[dict, str, nn.Module]] = []
        self._places: list[tuple[int, dict, str]] = []
        self._moved: dict[torch.device, list[tuple[int, Tensor]]] = {}
        self._find()

    def _find(self) -> None:
        edges: dict[tuple[int, str], tuple[dict, str, nn.Module]] = {}
        self._places = []
        for slot, dotted in self._names.items():
            *owners, name = dotted.split(".")
            holder = self._module
            for key in owners:
                child = holder._modules[key]
                assert child is not None
                edges[id(holder), key] = holder._modules, key, child
                holder = child
            held = holder._parameters if holder._parameters.get(name) is not None else holder._buffers
            self._places.append((slot, held, name))
        self._edges = list(edges.values())

    def tensors(self, device: torch.device) -> list[tuple[int, Tensor]]:
        """Slot and tensor of each. device: to which those of no module go."""
        try:
            if any(children.get(key) is not child for children, key, child in self._edges):
                self._find()
            held = [(slot, tensors[name]) for slot, tensors, name in self._places]
        except KeyError as error:
            raise ValueError(
                f"the module has no {error.args[0]!r} any more, with which it was captured (was a norm "
                "removed?): capture it again"
            ) from None
        moved = self._moved.get(device)
        if moved is None:
            moved = self._moved[device] = [(slot, t.to(device)) for slot, t in self._constants.items()]
        return held + moved
