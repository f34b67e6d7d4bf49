"""A plain loop over small files with the libraries that the program uses: read, computed by torch, written.

Each file is read whole. It hashes, syncs and verifies nothing, and has no other care.

python benchmarks/plain_libraries.py INPUT_FOLDER OUTPUT_FOLDER
"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

CHANNELS = 4


def convert_image(source: Path, folder: Path, conv: torch.nn.Module) -> None:
    """A picture to a gray one a channel, by OpenCV."""
    import cv2

    pixels = cv2.imread(str(source), cv2.IMREAD_COLOR_RGB)
    output = torch.sigmoid(conv(torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255))
    for index, channel in enumerate((output * 255).round().to(torch.uint8)[0].numpy()):
        cv2.imwrite(f"{folder}/channel_{index}.png", channel)


def convert_sound(source: Path, folder: Path, conv: torch.nn.Module) -> None:
    """A sound to one of 16 bits a channel, by soundfile."""
    import soundfile

    samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    output = torch.tanh(conv(torch.from_numpy(samples.T.copy()).unsqueeze(0)))
    for index, channel in enumerate((output * 32767).round().to(torch.int16)[0].numpy()):
        soundfile.write(f"{folder}/channel_{index}.wav", channel, rate, subtype="PCM_16")


def convert_film(source: Path, folder: Path, conv: torch.nn.Module) -> None:
    """A film to a gray one a channel, by PyAV: H.264 at the program's own settings."""
    import av

    with av.open(str(source)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate or Fraction(25)
    clip = torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2).unsqueeze(0).float() / 255
    output = (torch.sigmoid(conv(clip)) * 255).round().to(torch.uint8)[0].numpy()
    for index, channel in enumerate(output):
        with av.open(f"{folder}/channel_{index}.mp4", "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate, options={"preset": "ultrafast", "crf": "18"})
            (stream.height, stream.width), stream.pix_fmt = channel.shape[1:], "yuv420p"
            stream.codec_context.thread_count = 1
            for picture in channel:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
            container.mux(stream.encode(None))


CONVERTERS = {
    ".png": (convert_image, torch.nn.Conv2d, 3),
    ".jpg": (convert_image, torch.nn.Conv2d, 3),
    ".wav": (convert_sound, torch.nn.Conv1d, 1),
    ".mp4": (convert_film, torch.nn.Conv3d, 3),
}


def main(source: str, folder: str) -> None:
    """One file after another."""
    torch.manual_seed(0)
    paths = sorted(Path(source).iterdir())
    convert, layer, channels = CONVERTERS[paths[0].suffix]
    conv = layer(channels, CHANNELS, 3, padding=1)
    with torch.inference_mode():
        for path in paths:
            target = Path(folder) / path.name
            target.mkdir(parents=True, exist_ok=True)
            convert(path, target, conv)


if __name__ == "__main__":
    main(*sys.argv[1:])
