"""The index of weights that lie in several safetensors files, as published models have it. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path

from mediaconv.errors import UsageError
from mediaconv.model_files.archive import check_regular

SUFFIX = ".safetensors.index.json"
_MOST_BYTES = 2**28


def is_index(path: Path) -> bool:
    """Whether a path is that of an index, by its name."""
    return path.name.lower().endswith(SUFFIX)


def shards(path: Path) -> dict[Path, list[str]]:
    """The files beside an index, and the names of the tensors that it says are in each. Raises UsageError."""
    if check_regular(path, "weights") > _MOST_BYTES:
        raise UsageError(f"weights: {path}: is no index of safetensors files: it is too large for one")
    try:
        listed = json.loads(path.read_bytes())["weight_map"]
        pairs = [(str(name), file) for name, file in listed.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"weights: {path}: is no index of safetensors files ({type(error).__name__}): expected JSON with "
            'a "weight_map" of names to files'
        ) from None
    folder, out = path.resolve().parent, dict[Path, list[str]]()
    for name, file in pairs:
        plain = isinstance(file, str) and file == Path(file).name and file.endswith(".safetensors")
        if not plain or "\\" in file or (folder / file).resolve().parent != folder:
            raise UsageError(
                f"weights: {path}: {name}: got the file {str(file)!r}, expected a .safetensors file "
                "beside the index"
            )
        out.setdefault(path.parent / file, []).append(name)
    return out
