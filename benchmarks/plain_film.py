"""The plain script that mediaconv is measured against: the whole clip in memory, nn.Conv3d, OpenCV's mp4v.

python benchmarks/plain_film.py INPUT OUTPUT_FOLDER
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch


def main(source: str, folder: str) -> None:
    """Read all frames, convolve once, write one film per channel."""
    capture = cv2.VideoCapture(source)
    rate = capture.get(cv2.CAP_PROP_FPS)
    frames = []
    while True:
        found, frame = capture.read()
        if not found:
            break
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    clip = torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2).unsqueeze(0).float() / 255
    torch.manual_seed(0)
    conv = torch.nn.Conv3d(3, 4, 3, padding=1)
    with torch.no_grad():
        output = (torch.sigmoid(conv(clip)) * 255).round().to(torch.uint8)[0].numpy()
    Path(folder).mkdir(parents=True, exist_ok=True)
    height, width = output.shape[2:]
    for index, channel in enumerate(output):
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(f"{folder}/channel_{index}.mp4", code, rate, (width, height), isColor=False)
        for frame in channel:
            writer.write(frame)
        writer.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
