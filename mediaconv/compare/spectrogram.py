"""A sound as a picture of its spectrum over time, read frame by frame. For the eye, not a metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np

COLUMNS = 900
BANDS = 96
FFT_SIZE = 2048
RANGE_DB = 80.0


def spectrogram_png(path: Path) -> bytes:
    """Mel spectrogram of a WAV or FLAC, at most 900 columns by 96 bands, 80 dB below full scale is black.

    Of a long sound only the frames that are drawn are read.
    """
    import cv2
    import librosa
    import matplotlib as mpl
    import soundfile

    with soundfile.SoundFile(path) as file:
        hop = max(256, -(-file.frames // COLUMNS))
        starts = range(0, max(1, file.frames), hop)
        frames = np.zeros((FFT_SIZE, len(starts)))
        for i, start in enumerate(starts):
            file.seek(start)
            block = file.read(FFT_SIZE, dtype="float32", always_2d=True).mean(axis=1)
            frames[: len(block), i] = block
        bands = librosa.filters.mel(sr=file.samplerate, n_fft=FFT_SIZE, n_mels=BANDS)
    window = np.hanning(FFT_SIZE)[:, None]
    power = np.abs(np.fft.rfft(frames * window, axis=0) / (FFT_SIZE / 4)) ** 2
    level = librosa.power_to_db(
        bands @ power / bands.sum(axis=1, keepdims=True).clip(1e-12), ref=1.0, top_db=None
    )
    shown = np.clip(1 + level / RANGE_DB, 0, 1)[::-1]
    colours = mpl.colormaps["magma"](shown, bytes=True)[..., [2, 1, 0]]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(colours))
    return encoded.tobytes() if done else b""
