"""Which kind of media a file or a folder is, told by extensions, for somebody who has only that."""

from __future__ import annotations

import functools
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mediaconv.errors import ReadError, UsageError
from mediaconv.pipeline import Pipeline, Source, find, names

MOST_FILES = 20_000
"""Files of a folder that are looked at: a kind shows itself earlier."""
CONFIG_SUFFIXES = frozenset({".yaml", ".yml"})
WORDS = {"audio": "sound", "image": "image", "video": "film"}


@dataclass(frozen=True)
class InputKind:
    """A file or folder of a kind of media.

    first: the file, or the first one of the folder that opens. counts: files of every kind in the folder.
    broken: files before the first that do not open, each with the reason.
    """

    path: Path
    pipeline: Pipeline
    first: Path
    counts: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What lies there: `a film`, or `a folder of 12 sounds`."""
        word = WORDS.get(self.pipeline.name, self.pipeline.name)
        if not self.counts:
            return f"an {word}" if word[0] in "aeiou" else f"a {word}"
        count = self.counts[self.pipeline.name]
        return f"a folder of {count} {word}{'s' * (count != 1)}"


def looks_like_media(path: Path) -> bool:
    """Whether a name is a folder's or has a media file's extension; nothing is opened."""
    suffix = path.suffix.lower()
    if suffix in CONFIG_SUFFIXES and not path.is_dir():
        return False  # without asking, for which every pipeline and its libraries would be loaded
    return path.is_dir() or any(suffix in find(name).extensions for name in names())


def input_kind(path: Path, *, kind: str | None = None) -> InputKind:
    """The kind of a file or folder; kind: a pipeline's name, where the user says it.

    Of a folder the kind that most of its files have. Raises UsageError where it holds no media, ReadError
    where none of its files opens.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder (paths are taken from {Path.cwd()})")
    if not path.is_dir():
        return InputKind(path, find(kind) if kind else _kind_of_file(path), path)
    files = _files_below(path)
    counts = Counter(name for name in (_name_of_suffix(file.suffix.lower()) for file in files) if name)
    if not counts:
        raise UsageError(f"{path}: holds no sound, image or film")
    pipeline = find(kind or counts.most_common(1)[0][0])
    own = [file for file in files if file.suffix.lower() in pipeline.extensions]
    broken: dict[str, str] = {}
    for file in own[:100]:
        try:
            with open_plainly(pipeline, file):
                return InputKind(path, pipeline, file, {**counts, pipeline.name: len(own)}, broken)
        except ReadError as error:
            broken[str(file)] = str(error)
    reasons = "; ".join(list(broken.values())[:2]) or f"no {pipeline.name} file"
    raise UsageError(f"{path}: nothing in it can be read as {pipeline.name}: {reasons}")


def open_plainly(pipeline: Pipeline, path: Path) -> Source:
    """The file opened as a configuration without `read` opens it. Raises ReadError."""
    from mediaconv.media.limits import Limits

    return pipeline.open(path, pipeline.read_options(), Limits())


def _kind_of_file(path: Path) -> Pipeline:
    """By the extension; a GIF that moves is a film."""
    suffix = path.suffix.lower()
    taking = [find(name) for name in names() if suffix in find(name).extensions]
    if len(taking) > 1 and suffix == ".gif":
        return find("video" if _image_count(path) > 1 else "image")
    if taking:
        return taking[0]
    for name in ("image", "audio", "video"):
        try:
            with open_plainly(find(name), path):
                hint = f"it reads as {WORDS[name]}, so rename it with that kind's extension"
        except ReadError:
            continue
        raise UsageError(f"{path}: {suffix or 'no extension'} is no media file's name; {hint}")
    raise UsageError(f"{path}: no sound, image or film that can be read")


@functools.lru_cache(maxsize=1024)
def _name_of_suffix(suffix: str) -> str:
    taking = [name for name in names() if suffix in find(name).extensions]
    return ("image" if suffix == ".gif" else taking[0]) if taking else ""


def _image_count(path: Path) -> int:
    from mediaconv.media.image.reader import read_image

    try:
        return read_image(path).images
    except ReadError:
        return 1


def _files_below(folder: Path) -> list[Path]:
    """Files in depth, without hidden ones and without output folders of runs, in order."""
    files_below: list[Path] = []
    for here, folders, files in os.walk(folder):
        if {"run.yaml", "manifest.jsonl"} <= set(files):
            folders[:] = []
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files_below += [Path(here, name) for name in sorted(files) if not name.startswith(".")]
        if len(files_below) > MOST_FILES:
            break
    return files_below
