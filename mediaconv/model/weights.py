"""Weights from a file, checked before they go into a stack. Where they are drawn is `initializers`.

A file is safetensors, or torch's own read with `weights_only=True`: neither runs code of a stranger.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mediaconv.errors import UsageError, nearest
from mediaconv.model_files.archive import check_archive

SUFFIXES = (".safetensors", ".pt", ".pth")
_OPTIONAL = "num_batches_tracked"
"""A counter of training steps, which a run does not read: a file may leave it out."""

PathLike = str | os.PathLike[str]


def load_weights(path: PathLike) -> dict[str, Tensor]:
    """The state_dict in a file, on the CPU, in the types it was stored in.

    path: a .safetensors file, or .pt and .pth (a state_dict, or a mapping that holds it as "state_dict").
    Raises UsageError, in a line: missing, unreadable, of another format, without tensors.
    """
    path = Path(path)
    _check_file(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"weights: {path}: got a file of type {suffix!r}, expected one of {', '.join(SUFFIXES)}"
        )
    state = _load_safetensors(path) if suffix == ".safetensors" else _load_torch(path)
    if not state:
        raise UsageError(f"weights: {path}: holds no tensors")
    return state


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"weights: {path}: no such file (a relative path is taken from the current folder)")
    if not path.is_file():
        raise UsageError(f"weights: {path}: is no file")


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except OSError as error:
        raise UsageError(f"weights: {path}: cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise UsageError(f"weights: {path}: is no complete safetensors file: {_line(error)}") from error


def _load_torch(path: Path) -> dict[str, Tensor]:
    check_archive(path, "weights")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"weights: {path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        # torch raises a different type for each way in which a file can be broken
        raise UsageError(
            f"weights: {path}: is no file of plain tensors as torch.save(model.state_dict(), ...) writes it "
            f"({type(error).__name__})"
        ) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping):
        raise UsageError(
            f"weights: {path}: got a {type(loaded).__name__}, expected a state_dict: names to tensors"
        )
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not _plain(value):
            raise UsageError(f"weights: {path}: {name!r}: got {_kind(value)}, expected a plain tensor")
    return dict(loaded)


def _plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"


def _kind(value: object) -> str:
    return f"a {value.layout} tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def apply_weights(module: nn.Module, state: Mapping[str, Tensor], path: PathLike = "weights") -> None:
    """Put a state_dict into a stack, in place; nothing is changed unless all of it fits.

    The keys are those of `module.state_dict()`. Numbers are converted to the type of the stack's parameters
    (float64 to float32 rounds to nearest). A masked layer keeps its mask: its future taps are zero whatever
    the file holds.
    path: names the file in errors.
    Raises UsageError with a line a problem: missing and unknown keys, shapes, NaN or infinite numbers.
    """
    own = module.state_dict()
    lines = [*_missing(own, state), *_unknown(own, state)]
    converted = dict(own)
    for key, target in own.items():
        if key in state:
            value, problem = _converted(module, key, state[key], target)
            lines += [problem] if problem else []
            converted[key] = value
    if lines:
        raise UsageError("\n".join(f"weights: {path}: {line}" for line in lines))
    module.load_state_dict(converted, strict=True)


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
    result = value.to(target.dtype)
    reasons = (
        (value, "NaN or infinite"),
        (result, f"too large for {str(target.dtype).removeprefix('torch.')}"),
    )
    for numbers, reason in reasons:
        if bad := int((~torch.isfinite(numbers.double())).sum()):
            return target, f"{key}: {bad} of {value.numel()} numbers are {reason}"
    return result, None
