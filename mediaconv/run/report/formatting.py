"""Numbers and names as people read them: durations, sizes, speeds, counts, names in one line. Shared by
progress, summary, plan and status."""

from __future__ import annotations

from mediaconv.counted import counted

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """A length of time.

    >>> duration(0.42), duration(59.97), duration(75), duration(7384)
    ('0.4 s', '1:00', '1:15', '2:03:04')
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: float) -> str:
    """A number of bytes, in units of 1000.

    >>> size(1), size(900), size(1234567)
    ('1 byte', '900 bytes', '1.2 MB')
    """
    unit = UNITS[0]
    for unit in UNITS:  # noqa: B007
        if count < 1000:
            break
        count /= 1000
    return counted(round(count), "byte") if unit == UNITS[0] else f"{count:.1f} {unit}"


def speed(media_seconds: float, seconds: float) -> str:
    """How fast media went by.

    >>> speed(3, 40), speed(600, 5)
    ('0.075 x real time', '120 x real time')
    """
    rate = media_seconds / max(seconds, 1e-6)
    return f"{rate:.2g} x real time" if rate < 10 else f"{rate:.0f} x real time"


def escaped(text: str) -> str:
    r"""A text with a file's name in it as one line that a terminal only shows.

    >>> print(escaped("тест\n\x1b[2J.png"))
    тест\n\x1b[2J.png
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
