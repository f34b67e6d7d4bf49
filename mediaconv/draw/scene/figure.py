"""One picture that a notebook shows and that can be saved as SVG or PNG."""

from __future__ import annotations

from pathlib import Path

from mediaconv.draw.scene.raster import png, rasterize
from mediaconv.draw.scene.scene import Scene
from mediaconv.draw.scene.svg import svg
from mediaconv.errors import UsageError, not_one_of
from mediaconv.filesystem import write_made

FORMATS = (".svg", ".png")


class Figure:
    """A scene with a label. Notebooks show its SVG."""

    def __init__(self, scene: Scene, *, label: str) -> None:
        self.scene = scene
        self.label = label

    def svg(self) -> str:
        return svg([self.scene], label=self.label)

    def png(self) -> bytes:
        return png(rasterize(self.scene, scale=2.0))

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the file that the extension names, one of FORMATS.

        overwrite: replace a file that this program did not make, too. Raises UsageError, WriteError.
        """
        path = Path(path)
        if path.suffix.lower() not in FORMATS:
            raise UsageError(not_one_of(str(path), path.suffix, FORMATS))
        is_svg = path.suffix.lower() == ".svg"
        data = self.svg().encode(errors="backslashreplace") if is_svg else self.png()
        return write_made(path, data, overwrite=overwrite)

    def _repr_svg_(self) -> str:
        return self.svg()
