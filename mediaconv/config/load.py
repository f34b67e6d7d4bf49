"""A YAML file, its keys replaced by options -> RunConfig. Problems name file, line and key, all at once."""

from __future__ import annotations

import codecs
import errno
import os
import shlex
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mediaconv.config.document import Document, read_document
from mediaconv.config.overrides import override, set_value
from mediaconv.config.problems import MOST_PROBLEMS, Location, Problem, one_line, problems_of, shown
from mediaconv.config.run_config import RunConfig, render, validation_context_of
from mediaconv.config.source_locations import SourceLocations
from mediaconv.errors import ConfigError, nearest
from mediaconv.media.suffixes import AUDIO_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES

MAX_BYTES = 16 * 2**20
PIPE_SECONDS = 2.0
"""How long a pipe in the place of a file is waited for until somebody opens it to write."""
Fill = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def load_config(
    path: Path | str,
    *,
    overrides: Sequence[str] = (),
    options: Mapping[str, str | Sequence[str]] | None = None,
    values: Mapping[str, Any] | None = None,
    input: str | None = None,
    output: str | None = None,
    refuse_leaks: bool = True,
    fill: Fill | None = None,
) -> RunConfig:
    """The configuration in a file.

    overrides: `key.path=value` each, in order; the value is YAML, list items go by number.
    values: of keys at the top, as Python holds them; put into the text before all else.
    options: what a command's own options said, by the key that each stands for (`max_failures` for
        `--max-failures`); input, output: the same. They replace keys in this order, after the overrides.
    refuse_leaks: False for a causal configuration whose layers are still to be proven causal: those that need
        the whole input are let in.
    fill: called with what the file and the options say, unchecked; gives keys that are missing there.

    Raises ConfigError with every problem of the file, one a line.
    """
    text = _read(Path(path))
    return parse_config(
        text,
        name=str(path),
        overrides=overrides,
        options=options,
        values=values,
        input=input,
        output=output,
        refuse_leaks=refuse_leaks,
        fill=fill,
    )


def parse_config(
    text: str,
    *,
    name: str = "<config>",
    overrides: Sequence[str] = (),
    options: Mapping[str, str | Sequence[str]] | None = None,
    values: Mapping[str, Any] | None = None,
    input: str | None = None,
    output: str | None = None,
    refuse_leaks: bool = True,
    fill: Fill | None = None,
) -> RunConfig:
    """The configuration in a text; `name` stands in errors where the file's name would.

    values: of keys at the top, as Python holds them; put into the text before all else.
    """
    document = read_document(text, name=name)
    if not isinstance(document.value, dict):
        if document.value is not None:
            got = "a list" if isinstance(document.value, list) else shown(document.value)
            source = document.source_location(())
            raise ConfigError(f"{source}: got {got}, expected keys such as pipeline, input, output, stack")
        if not (overrides or options or values or input or output):
            raise ConfigError(
                f"{name}:1: got an empty file, expected keys such as pipeline, input, output, stack"
            )
        document.value = {}
    for key, value in (values or {}).items():
        set_value(document, [key], _plain(value), f"argument {one_line(key)}")
    for option in overrides:
        override(document, option)
    for key, words in (options or {}).items():
        _set_option(document, key, words)
    for key, value in (("input", input), ("output", output)):
        if value is not None:
            set_value(document, [key], value, f"--{key} {one_line(value)}")
    for key, value in (fill(document.value) if fill else {}).items():
        set_value(document, [key], _plain(value), document.source_location(()))
    return _checked(document, refuse_leaks=refuse_leaks)


def _plain(value: Any) -> Any:
    """A Python value as YAML would give it: paths as texts, tuples and arrays as lists, at any depth."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


def _set_option(document: Document, key: str, words: str | Sequence[str]) -> None:
    """What follows `--max-failures` is YAML, as the value of the key is; the words of several are texts."""
    name = f"--{key.replace('.', '-').replace('_', '-')}"
    if isinstance(words, str):
        override(document, f"{key}={words}", source=f"{name} {one_line(words)}")
    else:
        source = " ".join(f"{name} {one_line(word)}" for word in words)
        set_value(document, key.split("."), list(words), source)


def _read(path: Path) -> str:
    try:
        data = _bytes_of(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_neighbour(path)}") from None
    except IsADirectoryError:
        way = f"; mediaconv init {shlex.quote(str(path))} writes one for media in it"
        raise ConfigError(f"{path}: got a folder, expected a YAML file{way}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if other := _other_kind(path):
        raise ConfigError(f"{path}: got {other}")
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: got more than {MAX_BYTES >> 20} MiB, expected a YAML file")
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: got bytes that are not UTF-8, expected a YAML text file") from None


def _bytes_of(path: Path) -> bytes:
    """A file's bytes, or a pipe's (a shell's `<(...)`), up to one more than are read. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        begun = _when_written(file) if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode) else b""
        os.set_blocking(file.fileno(), True)
        parts = [begun]
        while sum(map(len, parts)) <= MAX_BYTES and (part := file.read(MAX_BYTES + 1)):
            parts.append(part)
    return b"".join(parts)


def _when_written(pipe: FileIO) -> bytes:
    """The first bytes of a pipe that somebody writes to. Raises OSError where nobody does."""
    end = time.monotonic() + PIPE_SECONDS
    while (begun := pipe.read(2**16)) == b"":
        if time.monotonic() > end:
            raise OSError(errno.EPIPE, "is a pipe that nobody writes to")
        time.sleep(0.01)
    return begun or b""


def _neighbour(path: Path) -> str:
    """The configuration beside it whose name is nearest."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml")]
    except OSError:
        return ""
    return nearest(path.name, names) or nearest(f"{path.name}.yaml", names)


def _other_kind(path: Path) -> str:
    """What a file that is no YAML is, by its extension, and what to do with it."""
    suffix, name = path.suffix.lower(), shlex.quote(str(path))
    if suffix in AUDIO_SUFFIXES | IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        return f"a media file, expected a YAML file: mediaconv init {name} writes one for it"
    if suffix in (".safetensors", ".pt", ".pth", ".onnx", ".pt2"):
        return f"a model's file, expected a YAML file: mediaconv init MEDIA --from {name} writes one"
    if suffix == ".py":
        return f"Python code, expected a YAML file: mediaconv run CONFIG --model {name}:FUNCTION"
    return ""


def _checked(document: Document, *, refuse_leaks: bool) -> RunConfig:
    problems = document.problems[: MOST_PROBLEMS + 1]
    unread = {problem.location for problem in document.problems}
    try:
        context = replace(validation_context_of(document.value), refuse_leaks=refuse_leaks)
        config = RunConfig.model_validate(document.value, context=context)
    except ValidationError as error:
        of_checks = [p for p in problems_of(error) if p.location not in unread]
        problems += [p for p in of_checks if not (p.missing and document.cut and len(p.location) == 1)]
    except RecursionError:
        raise ConfigError(f"{document.source_location(())}: layers nested too deeply") from None
    if not problems:
        return config.standing_at(SourceLocations(document.sources, frozenset(RunConfig.model_fields)))
    shown = sorted(dict.fromkeys(_placed(document, p) for p in problems), key=_order)
    lines = [f"{source}: {text}" for source, text in shown[:MOST_PROBLEMS]]
    if len(shown) > MOST_PROBLEMS:
        lines.append(f"{document.source_location(())}: ... and more: these are the first {MOST_PROBLEMS}")
    raise ConfigError("\n".join(lines))


def _order(line: tuple[str, str]) -> tuple[str, int]:
    name, _, number = line[0].rpartition(":")
    return (name, int(number)) if number.isdecimal() else (line[0], 0)


def _placed(document: Document, problem: Problem) -> tuple[str, str]:
    """Where a problem stands, and its text with the key as the user wrote it."""
    location = _as_written(document.value, problem)
    line = document.source_location(location[:-1] if problem.missing else location)
    return line, f"{render(location)}: {problem.text}" if location else problem.text


def _as_written(value: Any, problem: Problem) -> Location:
    """The part of a location that the document has: a bare list below `residual` has no `layers`."""
    location: Location = ()
    for i, part in enumerate(problem.location):
        keys = value if isinstance(value, Mapping) else range(len(value)) if isinstance(value, list) else ()
        if part in keys:
            value = value[part]
        elif isinstance(value, str) and value == part:
            value = None
        elif not (problem.missing and i == len(problem.location) - 1):
            continue
        location = (*location, part)
    return location
