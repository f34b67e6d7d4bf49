"""Which of several streams of sound or pictures is read: by number, by language, or as players choose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from mediaconv.errors import ReadError
from mediaconv.media.codec_tags import stated_codec

WORDS = {"audio": "sound", "video": "pictures"}
UNKNOWN_LANGUAGE = "und"


def _check_wish(value: Any) -> Any:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("expected the number of a stream, from 0, or a language as the file has it, such as eng")


StreamChoice = Annotated[int | str | None, BeforeValidator(_check_wish)]
"""The type of a `stream` option: a number among the streams of one kind, a language, or None."""


def choose_stream(path: Path, container: Any, kind: str, wish: int | str | None, best: Any) -> Any:
    """A stream of `kind` ("audio", "video") that can be decoded.

    wish: its number among those of its kind, its language, or None: `best`. Raises ReadError.
    """
    streams = list(getattr(container.streams, kind))
    if not streams:
        raise ReadError(f"{path}: the file holds no {WORDS[kind]}")
    if wish is None:
        decodable = [stream for stream in streams if stream.codec_context is not None]
        chosen = best if best in decodable else next(iter(decodable), streams[0])
    else:
        if isinstance(wish, int):
            wished = streams[wish : wish + 1]
        else:
            wished = [s for s in streams if (language_of(s) or UNKNOWN_LANGUAGE).lower() == wish.lower()]
        if not wished:
            raise ReadError(f"{path}: stream: got {wish!r}, the file's {WORDS[kind]}: {described(streams)}")
        chosen = wished[0]
    if chosen.codec_context is None:
        number = streams.index(chosen)
        name = stated_codec(path, kind, number)
        raise ReadError(
            f"{path}: no decoder for {name or 'its ' + WORDS[kind]} here: FFmpeg does not know the codec of "
            f"its {WORDS[kind]}, stream {number}; convert the file with a program that does"
        )
    return chosen


def choice_notes(container: Any, kind: str, chosen: Any, *, key: str = "read.stream") -> list[str]:
    """That one of several streams was taken, which ones there are, and the key that chooses."""
    streams = [s for s in getattr(container.streams, kind) if not is_cover(s)]
    if len(streams) < 2 or chosen not in streams:
        return []
    number = list(getattr(container.streams, kind)).index(chosen)
    every = described(list(getattr(container.streams, kind)))
    return [f"{WORDS[kind]}: there are streams {every}, of which {number} was taken; choose by {key}"]


def described(streams: list[Any]) -> str:
    """The streams with their numbers, languages and codecs: "0 (eng, aac), 1 (fra, aac)"."""
    parts = []
    for number, stream in enumerate(streams):
        context = stream.codec_context
        size = f"{context.width}x{context.height}" if context is not None and stream.type == "video" else ""
        name = "unknown codec" if context is None else context.name
        facts = [fact for fact in (language_of(stream), name, size) if fact]
        parts.append(f"{number} ({', '.join(facts)})")
    return ", ".join(parts)


def language_of(stream: Any) -> str:
    """As the file names it; empty where it does not."""
    languages = [value for key, value in stream.metadata.items() if key.lower() == "language"]
    return "" if not languages or languages[0] == UNKNOWN_LANGUAGE else str(languages[0])


def is_cover(stream: Any) -> bool:
    """A picture that a sound file shows, not a film."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)
