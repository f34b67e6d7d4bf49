"""Weights from a file, checked before they go into a stack. Where they are drawn is `initializers`.

A file is safetensors, or torch's own read with `weights_only=True`: neither runs code of a stranger.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.errors import UsageError, nearest
from mediaconv.model.weight_shards import SUFFIX, is_index, shards
from mediaconv.model_files.archive import check_archive, check_regular

SUFFIXES = (".safetensors", ".pt", ".pth")
_OPTIONAL = "num_batches_tracked"
"""A counter of training steps, which a run does not read: a file may leave it out."""

MOST_LINES = 20
"""Of an error; a stack of other layers has hundreds of wrong names."""
MOST_LISTED = 3

PathLike = str | os.PathLike[str]


def load_weights(path: PathLike, *, key: str | None = None, prefix: str | None = None) -> dict[str, Tensor]:
    """The state_dict in a file, on the CPU, in the types it was stored in.

    path: a .safetensors file, the index of several (.safetensors.index.json), or .pt and .pth: a state_dict
        or a checkpoint that holds it.
    key: where it stands in a checkpoint, such as "model"; dots lead further in. Default: at the top, or under
        "state_dict".
    prefix: only names that begin so are taken, and lose it: "module." of DataParallel.
    Raises UsageError, in a line: missing, unreadable, of another format, without tensors, no such key, no
    name with the prefix.
    """
    path = Path(path)
    check_regular(path, "weights")
    suffix = ".safetensors" if is_index(path) else path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"weights: {path}: got a file of type {suffix!r}, expected one of {', '.join(SUFFIXES)}, {SUFFIX}"
        )
    if suffix != ".safetensors":
        state = _state_dict(_load_torch(path), key, path)
    elif key is None:
        state = _load_shards(path) if is_index(path) else _load_safetensors(path)
    else:
        raise UsageError(
            f"weights: {path}: key: {key!r}: a safetensors file holds tensors alone: leave it out"
        )
    if not state:
        raise UsageError(f"weights: {path}: holds no tensors")
    return state if prefix is None else _without_prefix(state, prefix, path)


def only_key(path: PathLike) -> str | None:
    """The key of the one state_dict that a checkpoint holds, where it does not stand at the top or under
    "state_dict"; None for any other file. Raises UsageError.
    """
    path = Path(path)
    if path.suffix.lower() not in (".pt", ".pth"):
        return None
    loaded = _load_torch(path)
    try:
        _state_dict(loaded, None, path)
    except UsageError:
        keys = list(_state_dict_keys(loaded))
        return keys[0] if len(keys) == 1 else None
    return None


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except OSError as error:
        raise UsageError(f"weights: {path}: cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise UsageError(f"weights: {path}: is no complete safetensors file: {_line(error)}") from error


def _load_shards(path: Path) -> dict[str, Tensor]:
    """The tensors of all files that an index names, each from the file that it is said to be in."""
    state: dict[str, Tensor] = {}
    for file, names in shards(path).items():
        check_regular(file, f"weights: {path}")
        held = _load_safetensors(file)
        lost = [name for name in names if name not in held]
        if lost:
            raise UsageError(
                f"weights: {path}: {file.name} has no {_listed(lost)}, which the index puts there"
            )
        state |= {name: held[name] for name in names}
    return state


def _load_torch(path: Path) -> Any:
    check_archive(path, "weights")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"weights: {path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        # torch raises a different type for each way in which a file can be broken
        raise UsageError(
            f"weights: {path}: is no file of plain tensors as torch.save(model.state_dict(), ...) writes it "
            f"({type(error).__name__})"
        ) from error


def _state_dict(loaded: Any, key: str | None, path: Path) -> dict[str, Tensor]:
    """The state_dict in what torch.load gave. Raises UsageError."""
    if key is not None:
        state = _below(loaded, key)
        if state is None:
            keys = list(_state_dict_keys(loaded))
            has = f"state_dicts stand under {_listed(keys)}" if keys else "it holds no state_dict below a key"
            raise UsageError(
                f"weights: {path}: key: got {key!r}, which is not there; {has}{nearest(key, keys)}"
            )
    elif isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        state = loaded["state_dict"]
    else:
        state = loaded
    where = f"weights: {path}: " + (f"key {key!r}: " if key else "")
    if not isinstance(state, Mapping):
        raise UsageError(f"{where}got a {type(state).__name__}, expected a state_dict: names to tensors")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not _plain(value):
            keys = list(_state_dict_keys(state))
            hint = f"; state_dicts stand under {_listed(keys)}: name one by key" if keys else ""
            raise UsageError(f"{where}{str(name)!r}: got {_kind(value)}, expected a plain tensor{hint}")
    return dict(state)


def _below(content: Any, key: str) -> Any:
    """What stands at a key, in which dots lead further in unless a key has them itself; None: nothing."""
    if not isinstance(content, Mapping):
        return None
    if key in content:
        return content[key]
    starts = [name for name in content if isinstance(name, str) and key.startswith(f"{name}.")]
    values = (_below(content[name], key[len(name) + 1 :]) for name in starts)
    return next((value for value in values if value is not None), None)


def _state_dict_keys(content: Any, above: str = "") -> Iterable[str]:
    """The keys of all state_dicts in a checkpoint."""
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(name, str) and isinstance(value, Mapping) and value:
            if all(isinstance(entry, Tensor) for entry in value.values()):
                yield above + name
            else:
                yield from _state_dict_keys(value, f"{above}{name}.")


def _without_prefix(state: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    taken = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not taken:
        starts = sorted({name.partition(".")[0] + "." for name in state})
        raise UsageError(
            f"weights: {path}: prefix: got {prefix!r}, with which no name begins; they begin with "
            f"{_listed(starts)}"
        )
    return taken


def _listed(names: Sequence[str]) -> str:
    """The first names of a list, in quotes."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(repr(name) for name in names[:MOST_LISTED]) + more


def _plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"


def _kind(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return "a tensor without its numbers (meta)" if value.is_meta else f"a {value.layout} tensor"


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def apply_weights(
    module: nn.Module, state: Mapping[str, Tensor], path: PathLike = "weights", *, strict: bool = True
) -> None:
    """Put a state_dict into a stack, in place; nothing is changed unless all of it fits.

    The keys are those of `module.state_dict()`. Numbers are converted to the type of the stack's parameters
    (float64 to float32 rounds to nearest). A masked layer keeps its mask: its future taps are zero whatever
    the file holds.
    path: names the file in errors.
    strict: False passes over names that only one of file and stack has.
    Raises UsageError with a line a problem: missing and unknown keys, shapes, NaN or infinite numbers. Where
    no name fits at all, that is one problem, and the prefix that would mend it is named.
    """
    own = module.state_dict()
    if own and not any(key in own for key in state):
        raise UsageError(f"weights: {path}: {_strangers(own, state)}")
    lines = [*_missing(own, state), *_unknown(own, state)] if strict else []
    converted = dict(own)
    for key, target in own.items():
        if key in state:
            value, problem = _converted(module, key, state[key], target)
            lines += [problem] if problem else []
            converted[key] = value
    if lines:
        more = [f"{len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
        raise UsageError("\n".join(f"weights: {path}: {line}" for line in lines[:MOST_LINES] + more))
    module.load_state_dict(converted, strict=True)


def _strangers(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """What to do where the file has none of the stack's names."""
    needed = [key for key in own if key.rpartition(".")[2] != _OPTIONAL]
    starts = {name.removesuffix(needed[0]) for name in state if name.endswith(needed[0])} if needed else set()
    fitting = sorted(start for start in starts if all(start + key in state for key in needed))
    if fitting:
        return f"its names begin with {' or '.join(map(repr, fitting))}: state that by weights.prefix"
    return f"none of its names ({_listed(list(state))}) is in the stack, which has {_listed(needed)}"


def _missing(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Iterable[str]:
    unknown = [key for key in state if key not in own]
    for key, target in own.items():
        if key not in state and key.rpartition(".")[2] != _OPTIONAL:
            shape = list(target.shape)
            yield f"{key}: is missing; the stack has it with shape {shape}{nearest(key, unknown)}"


def _unknown(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Iterable[str]:
    free = [key for key in own if key not in state]
    for key in state:
        if key not in own:
            yield f"{key}: is not in the stack{nearest(key, free or own)}"


def _converted(module: nn.Module, key: str, value: Tensor, target: Tensor) -> tuple[Tensor, str | None]:
    """The tensor in the stack's type, or what is wrong with it."""
    if value.shape != target.shape:
        layer, _, name = key.rpartition(".")
        kind = type(module.get_submodule(layer)).__name__
        where = f"layer {layer} ({kind})" if layer else kind
        got, wanted = list(value.shape), list(target.shape)
        return target, f"{key}: got shape {got}, but the {name} of {where} has {wanted}"
    if value.is_complex():
        return target, f"{key}: got complex numbers, expected real ones"
    if value.dtype in (torch.int8, torch.uint8) and target.is_floating_point():
        kind = str(value.dtype).removeprefix("torch.")
        return target, f"{key}: got quantized numbers ({kind}), whose scale is not read: save it dequantized"
    result = value.to(target.dtype)
    reasons = (
        (value, "NaN or infinite"),
        (result, f"too large for {str(target.dtype).removeprefix('torch.')}"),
    )
    for numbers, reason in reasons:
        if bad := int((~torch.isfinite(numbers.double())).sum()):
            return target, f"{key}: {bad} of {value.numel()} numbers are {reason}"
    return result, None
