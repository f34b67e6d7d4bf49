"""Files on other storage (`s3://...`, `memory://...`), by fsspec: listed, fetched, sent. Knows no jobs.

Pipelines know local paths only. What a URL's scheme needs to be installed for (s3fs, gcsfs) is the user's.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mediaconv.errors import MediaconvError, UsageError
from mediaconv.filesystem import temporary_name

TIMES = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
"""What file systems call the mark by which a change of a file is known; the first that is there counts."""
LOCAL = ("file", "local")
CACHES = ("simplecache", "filecache", "blockcache")
"""Parts of a chain (`simplecache::s3://bucket/in`) that have no path of their own."""
IN_PROCESS = "memory"
"""The scheme of a store that only the process that filled it sees."""


def is_remote(path: str) -> bool:
    """Whether a path of a configuration is a URL.

    >>> is_remote("s3://bucket/in"), is_remote("data/in")
    (True, False)
    """
    return "://" in path


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Each library behind fsspec has errors of its own kinds."""
    try:
        yield
    except (OSError, ImportError, ValueError, MediaconvError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _path_part(parts: list[str]) -> int:
    """Which part of a chain the path stands in: the first that is no cache."""
    return next((i for i, part in enumerate(parts) if part.partition("://")[0] not in CACHES), 0)


def _with_path(url: str, path: str) -> str:
    """The same URL or chain with another path; some stores' paths (of http) are whole URLs."""
    parts = url.split("::")
    part = _path_part(parts)
    parts[part] = path if is_remote(path) else f"{parts[part].partition('://')[0]}://{path}"
    return "::".join(parts)


def open_store(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL or of a chain of them, and the path in it.

    Raises UsageError where fsspec cannot open it, OSError where an archive of a chain cannot be read.
    """
    import fsspec

    try:
        with _as_os_errors():
            store, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{url}: cannot be opened by fsspec: {error}") from error
    return store, str(path).rstrip("/")


def list_files(url: str) -> tuple[str, list[str]]:
    """The root's URL below which a file, a folder or a glob finds files, and their paths below it.

    Raises UsageError where there is nothing.
    """
    try:
        with _as_os_errors():
            root, paths = _matches(url)
    except OSError as error:
        raise UsageError(f"input: {url} cannot be listed: {error}") from error
    return _with_path(url, root), sorted({str(p).removeprefix(root).removeprefix("/") for p in paths})


def join(url: str, name: str) -> str:
    """The URL of a path below a URL; in a chain it stands where the chain's own path does.

    >>> join("s3://bucket/in/", "a/b.png"), join("zip://::photos.zip", "b.png")
    ('s3://bucket/in/a/b.png', 'zip://b.png::photos.zip')
    """
    parts = url.split("::")
    scheme, _, path = parts[_path_part(parts)].partition("://")
    path = path.rstrip("/")
    return _with_path(url, f"{path}/{name}" if path or scheme in LOCAL else name)


def _matches(url: str) -> tuple[str, list[str]]:
    store, path = open_store(url)
    if store.isfile(path):
        return path.rpartition("/")[0], [path]
    if store.isdir(path):
        return path, store.find(path)
    if any(sign in path for sign in "*?["):
        root = "/".join(itertools.takewhile(lambda part: not set(part) & set("*?["), path.split("/")))
        return root, [p for match in store.glob(path) for p in (store.find(match) or [match])]
    raise UsageError(f"input: {url} does not exist")


def path_below(root: str, url: str) -> str | None:
    """The path of a URL, or of a local folder, below a root's URL; None where it does not lie there."""
    (store, base), (other, path) = open_store(root), open_store(url)
    if store.protocol != other.protocol or not path.startswith(f"{base}/"):
        return None
    return path.removeprefix(f"{base}/")


@_as_os_errors()
def stat_of(url: str) -> dict[str, Any]:
    """Size and time (or tag) of a file; of a folder (a sequence of stills) its files'. Raises OSError."""
    store, path = open_store(url)
    if store.isdir(path):
        infos = [store.info(p) for p in sorted(store.ls(path, detail=False))]
    else:
        infos = [store.info(path)]
    return {"size": sum(info.get("size") or 0 for info in infos), "time": " ".join(map(_time, infos))}


@_as_os_errors()
def fetch(url: str, local: Path) -> None:
    """A local copy of a file, or of the files of a folder. Raises OSError."""
    store, path = open_store(url)
    if not store.isdir(path):
        local.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(path, str(local))
        return
    local.mkdir(parents=True)
    for file in store.ls(path, detail=False):
        if store.isfile(file):
            store.get_file(file, str(local / str(file).rpartition("/")[2]))


@_as_os_errors()
def send(folder: Path, url: str, replaces: Collection[str]) -> None:
    """Every file under a temporary name first, then all renamed; the manifest's row says that all are there.

    replaces: the files of an earlier run there, which go. Raises OSError; FileExistsError where another's
    file has the name of one that is sent.
    """
    store, path = open_store(url)
    parent, _, name = path.rpartition("/")
    part = f"{parent}/{temporary_name(Path(name))}"
    try:
        store.makedirs(part, exist_ok=True)
        store.makedirs(path, exist_ok=True)
        files = sorted(file.name for file in folder.iterdir())
        for file in files:
            store.put_file(str(folder / file), f"{part}/{file}")
        there = {str(old).rpartition("/")[2] for old in store.ls(path, detail=False)}
        if others := there.intersection(files).difference(replaces):
            raise FileExistsError(f"{url}/{min(others)} is in the way: it is not of this run")
        for old in there.intersection(replaces).difference(files):
            store.rm(f"{path}/{old}")
        for file in files:
            store.mv(f"{part}/{file}", f"{path}/{file}")
    finally:
        if store.exists(part):
            store.rm(part, recursive=True)


def _time(info: dict[str, Any]) -> str:
    return next((str(info[key]) for key in TIMES if info.get(key)), "")
