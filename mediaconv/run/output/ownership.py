"""What in an output folder is the run's own: what a row of its manifest names, or what it had claimed.

Everything else that lies where outputs would go is refused before any work, and never replaced or removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mediaconv.errors import UsageError
from mediaconv.filesystem import NotAFileError, in_the_way, is_regular, open_to_read
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.folder import RUN_NAME, Output
from mediaconv.run.resume.manifest import Rows, is_safe_name

OUTPUT_NAME = re.compile(r"(channel_\d+|rgb|grid|tensor)\.\w+")
"""How sinks name files: of a killed run's, which have no row, these are known to be outputs."""
_MARK = re.compile(rb"# written by mediaconv run, sha256 ([0-9a-f]{64})[^\n]*\n")
_MAX_BYTES = 1 << 26


class Everything:
    """Holds every name: after a torn row it is not known which outputs had none yet."""

    def __contains__(self, name: object) -> bool:
        return True


def marked(text: str) -> bytes:
    """run.yaml with its full mark: a comment that holds the hash of all that follows it."""
    body = text.encode()
    digest = hashlib.sha256(body).hexdigest()
    return f"# written by mediaconv run, sha256 {digest}; copy it to change it\n".encode() + body


def check_run_yaml(folder: Path, rows: Rows) -> bool:
    """Whether the folder holds a run.yaml, which then is a run's: it bears its mark, as it was written.

    Version 0.1.0 wrote none: there a manifest's rows beside it tell. Raises UsageError where it is another's.
    """
    path = folder / RUN_NAME
    if not os.path.lexists(path):
        return False
    try:
        with open_to_read(path) as file:
            content = file.read(_MAX_BYTES)
    except NotAFileError:
        raise in_the_way(path) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    mark = _MARK.match(content)
    if mark is None and rows and content.startswith(b"pipeline: "):
        return True
    if mark is None or hashlib.sha256(content[mark.end() :]).hexdigest().encode() != mark[1]:
        was = "a file that no run wrote" if mark is None else "it was changed after a run wrote it"
        raise in_the_way(path, was)
    return True


def with_replacements(
    jobs: Sequence[Job], rows: Rows, claimed: Container[str], output: Output, root: Path
) -> list[Job]:
    """The jobs, each with the names of the files in its target that it may replace.

    Raises UsageError, naming it, where anything else lies in a target or on the way to it. Hidden files and
    folders in a target stay as they are.
    """
    if rows.torn:
        claimed = Everything()
    known: set[str] = set()
    owning = []
    for job in jobs:
        above = ""
        for part in job.name.split("/")[:-1]:
            above += f"{part}/"
            if above not in known:
                _refuse_no_folder(root / above, output)
                known.add(above)
        own = rows.owned(job.name)
        names = []
        for name, regular in output.entries(job.name):
            if not (regular and (name in own or (job.name in claimed and OUTPUT_NAME.fullmatch(name)))):
                raise in_the_way(f"{job.destination}/{name}", "" if regular else "not a regular file")
            names.append(name)
        owning.append(replace(job, replaces=tuple(sorted(names))) if names else job)
    return owning


def remove_unclaimed(names: Iterable[str], rows: Rows, output: Output) -> None:
    """Remove the outputs of a killed run that no row names; what else lies there stays."""
    for job in names:
        if is_safe_name(job):
            own = rows.owned(job)
            for name, regular in output.entries(job):
                if regular and name not in own and OUTPUT_NAME.fullmatch(name):
                    output.remove(output.folder / job / name)
            with contextlib.suppress(OSError):
                (output.folder / job).rmdir()


def _refuse_no_folder(path: Path, output: Output) -> None:
    if output.is_local and os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
        raise in_the_way(path, "" if is_regular(path) else "not a folder of its own but a link or a device")
