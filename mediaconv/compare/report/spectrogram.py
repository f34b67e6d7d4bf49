"""A sound as a picture of its spectrum over time, read frame by frame. For the eye, not a metric."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

COLUMNS = 900
BANDS = 96
WINDOW_SECONDS = 0.05
RANGE_DB = 80.0


def spectrogram_png(path: Path) -> bytes:
    """Mel spectrogram of a WAV or FLAC, at most 900 columns by 96 bands, 80 dB below full scale is black.

    A column is the spectrum of the 50 ms or so before its time, so that nothing is seen before it sounds:
    a window around the time would draw a pre-echo of its own. Of a long sound only what is drawn is read.
    """
    import cv2
    import librosa
    import matplotlib as mpl
    import soundfile

    with soundfile.SoundFile(path) as file:
        size = 2 ** round(math.log2(max(256, file.samplerate * WINDOW_SECONDS)))
        hop = max(size // 8, -(-file.frames // COLUMNS))
        stops = range(hop // 2, max(hop, file.frames), hop)
        frames = np.zeros((size, len(stops)))
        for i, stop in enumerate(stops):
            start = max(0, stop - size)
            file.seek(min(start, file.frames))
            block = file.read(stop - start, dtype="float32", always_2d=True).mean(axis=1)
            frames[size - (stop - start) :, i][: len(block)] = block
        bands = librosa.filters.mel(sr=file.samplerate, n_fft=size, n_mels=BANDS)
    window = np.hanning(size)[:, None]
    power = np.abs(np.fft.rfft(frames * window, axis=0) / (size / 4)) ** 2
    level = librosa.power_to_db(
        bands @ power / bands.sum(axis=1, keepdims=True).clip(1e-12), ref=1.0, top_db=None
    )
    shown = np.clip(1 + level / RANGE_DB, 0, 1)[::-1]
    colours = mpl.colormaps["magma"](shown, bytes=True)[..., [2, 1, 0]]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(colours))
    return encoded.tobytes() if done else b""
