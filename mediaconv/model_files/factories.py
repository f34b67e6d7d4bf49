"""Modules made by a factory: a function of somebody's package or file. What tells one of them from another.

A factory may draw weights and read files that no key names: the weights that it gives tell of both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mediaconv.errors import UsageError

if TYPE_CHECKING:
    from torch import nn


def made(name: str, find: Callable[[], Callable[..., Any]], options: Mapping[str, Any]) -> nn.Module:
    """What the factory that `find` gives makes of the options, in evaluation mode.

    Random weights are drawn from seed 0, so that every file and worker has the same.
    name: of the model, in errors. Raises UsageError, also for whatever goes wrong in the factory.
    """
    from torch import nn

    with _same_draws():
        try:
            module = find()(**options)
        except UsageError:
            raise
        except Exception as error:
            # a factory is anybody's code: what it raises is the user's to know
            raise UsageError(f"model: {name} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"model: {name} gave a {type(module).__name__}, expected a torch.nn.Module")
    return module.eval()


@contextmanager
def _same_draws() -> Iterator[None]:
    """Seed 0 for what is drawn inside, by torch, numpy's and Python's own functions; afterwards as before."""
    import random

    import numpy as np
    import torch

    kept, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.manual_seed(0)
            np.random.seed(0)
            random.seed(0)
            yield
        finally:
            random.setstate(kept)
            np.random.set_state(legacy)


def weights_of(module: nn.Module) -> str:
    """sha256 of a module's parameters and buffers, with their names, types and shapes."""
    import torch

    digest = hashlib.sha256()
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        if value.is_meta or value.layout != torch.strided:
            continue  # refused where it is captured
        flat = value.detach().cpu().resolve_conj().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
