"""What a job's outputs follow from: its input, the resolved configuration, the weights, the code's version.

Not part of it: where and how jobs run (executor, workers, paths of the folders), for outputs do not depend
on these.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import stat
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mediaconv
from mediaconv.config import RunConfig
from mediaconv.config.dump import path_holders
from mediaconv.config.weights_file import WeightsFile
from mediaconv.errors import UsageError
from mediaconv.filesystem import NotAFileError, digest, kind_of, open_regular, refuse_holes
from mediaconv.installed import installed
from mediaconv.layers import walk
from mediaconv.layers.model import Model
from mediaconv.model.weight_shards import is_index, shards
from mediaconv.model_files.typed_code import code_of, is_trusted
from mediaconv.pipeline import GROUP

if TYPE_CHECKING:
    from mediaconv.run.resume.rows import Row

WHERE_FROM = frozenset(["input", "output", "weights", "include", "exclude"])
HOW = frozenset(["executor", "workers", "timeout_seconds", "max_failures", "ray"])
"""Keys of a configuration that do not change an output; weights and models count by their content and name,
not by the folder that they lie in.
"""

LIBRARIES = ("torch", "av", "numpy", "opencv-python-headless", "soundfile")


def run_identity(config: RunConfig, rows: Mapping[str, Row] | None = None) -> dict[str, str]:
    """What all jobs of a run have in common: hashes of the configuration and the weights, the code's version.

    rows: of a folder that is only looked at: the weights that typed code gives, which is not run for that,
        are those that a finished row says where all else is the same.
    Raises UsageError for weights that cannot be read.
    """
    relevant = config.model_dump(mode="json", exclude=set(WHERE_FROM | HOW))
    for options, key in path_holders(relevant, config):
        options[key] = Path(options[key]).name
    text = json.dumps(relevant, sort_keys=True)
    return {
        "config": hashlib.sha256(text.encode()).hexdigest(),
        "weights": _with_code(_weights_hash(config.weights) + _models_hash(config), config, rows or {}),
        "code": code_version(config.pipeline),
    }


def code_version(pipeline: str) -> str:
    """This package's version; of a plug-in's pipeline also its own package's: `0.1.0 volumes-1.2`."""
    for entry in installed(GROUP):
        if entry.name == pipeline and entry.dist is not None and entry.dist.name != "mediaconv":
            return f"{mediaconv.__version__} {entry.dist.name}-{entry.dist.version}"
    return mediaconv.__version__


def versions() -> dict[str, str]:
    """Versions of what made an output, for the manifest."""
    versions = {"mediaconv": mediaconv.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # another build of the same library, under another name
            continue
    return versions


def input_identity(path: Path | str) -> dict[str, Any]:
    """An input's size in bytes and time in ns; of a folder (a sequence of stills) those of its files.

    Raises OSError.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in _files(path)]
        digest = hashlib.sha256(json.dumps(stats).encode()).hexdigest()
        return {"size": sum(s[1] for s in stats), "time": digest}
    if not stat.S_ISREG(status.st_mode):
        raise NotAFileError(errno.EINVAL, f"is {kind_of(path)}, not a regular file", str(path))
    return {"size": status.st_size, "time": status.st_mtime_ns}


def content_hash(path: Path | str) -> str:
    """sha256 of a file, or of a folder's files in name order. Raises OSError, also for pipes and devices."""
    if os.path.isdir(path):
        parts = [f"{p.name}\0{content_hash(p)}" for p in _files(path)]
        return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()
    handle = open_regular(path, follow=True)
    try:
        refuse_holes(handle)
        return digest(handle)
    finally:
        os.close(handle)


def _files(folder: Path | str) -> list[Path]:
    return sorted(p for p in Path(folder).iterdir() if p.is_file() and not p.name.startswith("."))


def _models_hash(config: RunConfig) -> str:
    """Of the files and packages of all models in the stack; empty where there is none."""
    parts = []
    for spec in _models(config):
        try:
            parts += ["" if code_of(spec.file) else spec.origin(), *map(content_hash, spec.files())]
        except OSError as error:
            raise UsageError(
                f"model: {error.filename or spec.file} cannot be read: {error.strerror}"
            ) from error
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""


def _with_code(known: str, config: RunConfig, rows: Mapping[str, Row]) -> str:
    """The hash so far with that of the weights which typed code gives, where there is any."""
    typed = [spec for spec in _models(config) if code_of(spec.file)]
    if not typed:
        return known
    if all(is_trusted(spec.file) for spec in typed):
        origins = "\n".join(spec.origin() for spec in typed)
        return known + hashlib.sha256(origins.encode()).hexdigest()
    told = (str(row.identity.get("weights")) for row in rows.values())
    return next((weights for weights in told if weights.startswith(known)), known)


def _models(config: RunConfig) -> list[Model]:
    return [spec for _, spec in walk(config.stack) if isinstance(spec, Model)]


def _weights_hash(weights: WeightsFile | None) -> str:
    """Of the file's content and of what is taken from it, not of its path."""
    if weights is None:
        return ""
    try:
        content = content_hash(weights.file)
        if is_index(Path(weights.file)):
            content += "".join(content_hash(file) for file in sorted(shards(Path(weights.file))))
    except OSError as error:
        file = error.filename or weights.file  # the index, or one of those that it names
        raise UsageError(f"weights: {file} cannot be read: {error.strerror}") from error
    if not weights.selection:
        return content
    return hashlib.sha256(f"{content}{json.dumps(weights.selection)}".encode()).hexdigest()
