"""The plain script for a folder of images: each read whole, convolved by torch.nn, written by OpenCV.

python benchmarks/plain_folder.py [--synced] INPUT_FOLDER OUTPUT_FOLDER

With --synced it keeps the program's promise about images, one after another: outputs appear together, under
their name only once they are on the disk.
"""

import os
import sys
from pathlib import Path

import cv2
import torch


def convert_image(source: Path, folder: Path, conv: torch.nn.Conv2d) -> None:
    """One image to a gray image per channel."""
    pixels = cv2.imread(str(source), cv2.IMREAD_COLOR_RGB)
    with torch.no_grad():
        output = torch.sigmoid(conv(torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255))
    folder.mkdir(parents=True, exist_ok=True)
    for index, channel in enumerate((output * 255).round().to(torch.uint8)[0].numpy()):
        cv2.imwrite(f"{folder}/channel_{index}.png", channel)


def convert_synced(source: Path, folder: Path, conv: torch.nn.Conv2d) -> None:
    """The same, on the disk before it has its name."""
    part = folder.with_name(f".{folder.name}.part")
    convert_image(source, part, conv)
    for path in (*part.iterdir(), part):
        sync(path)
    part.rename(folder)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Make a file's bytes or a folder's names durable."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def main(source: str, folder: str, *, synced: bool = False) -> None:
    """One image after another."""
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(3, 4, 3, padding=1)
    convert = convert_synced if synced else convert_image
    for path in sorted(Path(source).iterdir()):
        convert(path, Path(folder) / path.name, conv)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(*words[-2:], synced=words[0] == "--synced")
