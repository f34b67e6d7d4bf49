"""Modules made by a factory: a function of somebody's package or file. What tells one of them from another.

A factory may draw weights and read files that no key names: the weights that it gives tell of both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from mediaconv.errors import UsageError, nearest

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
            factory = find()
            check_options(name, factory, options)
            module = factory(**options)
        except UsageError:
            raise
        except Exception as error:
            # a factory is anybody's code: what it raises is the user's to know
            raise UsageError(f"model: {name} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"model: {name} gave a {type(module).__name__}, expected a torch.nn.Module")
    return module.eval()


def check_options(name: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise UsageError for options that a factory needs and was not given, and for those that it has not.

    One whose parameters Python does not know is left to fail by itself.
    """
    try:
        parameters = signature(factory).parameters.values()
    except (TypeError, ValueError):
        return
    named = {
        p.name: p for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    }
    missing = [key for key, p in named.items() if p.default is Parameter.empty and key not in options]
    free = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
    unknown = [] if free else [key for key in options if key not in named]
    words = []
    if missing:
        inside = ", ".join(f"{key}: {_kind(named[key])}" for key in missing)
        words.append(
            f"needs the option{'s' * (len(missing) > 1)} {', '.join(missing)}: write model: {{file: {name}, "
            f"options: {{{inside}}}}}, or beside --model: --set stack.0.model.options.{missing[0]}=VALUE"
        )
    if unknown:
        nearby = "".join(nearest(key, named) for key in unknown[:1])
        words.append(
            f"has no option {', '.join(map(repr, unknown))}, expected {', '.join(named) or 'none'}{nearby}"
        )
    if words:
        raise UsageError(f"model: {name}: its factory {'; and '.join(words)}")


def _kind(parameter: Parameter) -> str:
    """What a parameter takes, by its annotation."""
    kind = parameter.annotation
    if kind is Parameter.empty:
        return "VALUE"
    return kind.__name__ if isinstance(kind, type) else str(kind)


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
