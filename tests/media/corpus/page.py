"""docs/reference/formats.md from what a run of the corpus found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.media.corpus.recipe import Row

PATH = Path(__file__).parents[3] / "docs" / "reference" / "formats.md"
COUNTED = ("exact", "nearly", "refused")
WORDS = {"audio": "Sound", "image": "Images", "video": "Film"}


def write_page(rows: Sequence[Row]) -> None:
    """Write the page."""
    PATH.write_text(page(rows))


def page(rows: Sequence[Row]) -> str:
    """One table a kind of media, a row a group of files."""
    made = [row for row in rows if row.status != "skipped"]
    lines = [HEAD.format(count=len(made))]
    for kind, word in WORDS.items():
        lines += [
            f"## {word}",
            "",
            "| files | read exactly | nearly | refused | why |",
            "| --- | ---: | ---: | ---: | --- |",
        ]
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in made:
            if row.recipe.kind == kind:
                groups[row.recipe.group].append(row)
        for group, members in sorted(groups.items(), key=lambda item: item[0].lower()):
            counts = [
                sum(row.status == status for row in members) for status in ("exact", "nearly", "refused")
            ]
            reasons = sorted({row.detail for row in members if row.detail and row.status != "wrong"})
            lines.append(f"| {group} | {' | '.join(str(n or '') for n in counts)} | {'; '.join(reasons)} |")
        lines.append("")
    return "\n".join([*lines, TAIL])


HEAD = """# Formats

What is read and written, and how near. The tables are made by `make torture`: it makes {count} files over
containers, codecs, sample and pixel formats and flags with the programs of Debian, reads each as a run
does, and compares with a decoder that is not ours where there is one: the `ffmpeg` program, SoX, mpg123,
opusdec, oggdec, OpenCV, Pillow, tifffile, or the array that was written. Each film is also read from a
random second on, which must be the slice of the whole. *Exactly* means every value; *nearly* means by the
tolerance of the reason.
"""
TAIL = """## Channels, clocks, colours

- **Channels** are in WAV's order, whatever the container: FL FR FC LFE BL BR FLC FRC BC SL SR. The layout
  is in the notes of a run and its manifest, and `mediaconv trace --input FILE` prints it. `write:
  {channel_names: true}` puts it into the names of outputs that are made of one input channel each.
- **Times** of film and sound count from the file's start, in seconds, for `start_seconds` as for a whole
  file. A hole in the times of a sound is silence, `read: {holes: close}` leaves it out; sound that begins
  late is told, `late_start: keep` puts silence before it.
- **Several streams**: `read: {stream: N}` or a language; the choice is noted.
- **Samples** of sound are read without rounding: integers up to 64 bits and floats of 64 bits stay what
  they are with `precision: float64`.
- **Colours**: YUV by its own matrix and range (BT.601 and limited where the file tells none). HDR (PQ, HLG)
  and the primaries of BT.2020 are noted and not converted. Interlaced film is noted; `read: {deinterlace:
  bwdif}` makes frames of one time. Cropping by the codec and by the container is applied. A size that
  changes midway is scaled to the first, with a note, or read by its runs: `read: {part: N}`. Colour
  profiles of images are not applied. Alpha is straight; TIFF's multiplied alpha is undone.
- **Refused**: samples of signed integers or complex numbers in TIFF, codecs that FFmpeg does not know,
  files cut off where their structure shows it, sizes over `limits`, times that would repeat a frame more
  than `limits.max_repeats` times.

## Written

| kind | formats | values |
| --- | --- | --- |
| sound | WAV (RF64 past 4 GiB): 16, 24, 32 bits, floats of 32 and 64; FLAC: 16, 24 | exactly |
| images | PNG: 8, 16 bits; TIFF: 8, 16, floats of 32 and 64; WebP with `lossless: true` | exactly |
| images | JPEG, WebP | nearly: their compression |
| film | FFV1 in MKV: 8, 10, 12, 16 bits; H.264 and VP9 with `lossless: true` | exactly |
| film | H.264 (8, 10 bits) in MP4, MKV; VP9 in WebM, MP4, MKV | nearly: their compression |
| tensors | npy, safetensors: float32, float64 | exactly |
"""
