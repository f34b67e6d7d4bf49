"""The sample media: made again they are the same, and they show what data/README.md promises."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import av
import cv2
import numpy as np
import pytest
import soundfile

DATA = Path(__file__).resolve().parents[2] / "data"
STRIKE = 20
CLAP_SECONDS, SILENT_SECONDS = 2.4, 2.1


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """data/make_samples.py as a module: a script, found beside the modules it imports."""
    sys.path.insert(0, str(DATA))
    try:
        return importlib.import_module("make_samples")
    finally:
        sys.path.remove(str(DATA))


@pytest.fixture(scope="module")
def rebuilt(maker: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    maker.make_all(folder)
    return folder


def luma(path: Path) -> np.ndarray:
    """Decoded luma of a film, (T, H, W) float64."""
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray()[: f.height].astype(float) for f in container.decode(video=0)])


def film_sound(path: Path) -> np.ndarray:
    """Decoded sound of a film, (T,) float64."""
    with av.open(str(path)) as container:
        return np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)]).astype(float)


def video_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(video=0)]


@pytest.mark.parametrize("name", ["melody_clap.wav", "lighthouse.png", "faint_disc_16bit.png"])
def test_rebuilt_samples_hold_the_committed_values(name: str, rebuilt: Path) -> None:
    committed, again = (next(folder.rglob(name)) for folder in (DATA, rebuilt))
    if name.endswith(".wav"):
        assert soundfile.info(again).subtype == soundfile.info(committed).subtype == "PCM_16"
        a, b = (soundfile.read(p, dtype="int16")[0] for p in (committed, again))
    else:
        a, b = (cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in (committed, again))
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    # Another version of numpy or OpenCV may differ in the last bit of a float and so move a rounding.
    assert np.abs(a.astype(int) - b).max() <= 1


def test_rebuilt_film_looks_and_sounds_the_same(rebuilt: Path) -> None:
    film = "video/lightning.mp4"
    a, b = luma(DATA / film), luma(rebuilt / film)
    assert a.shape == b.shape == (48, 180, 320)
    # Another x264 may spend its bits elsewhere; at this quality it stays within two levels on average.
    assert np.abs(a - b).mean(axis=(1, 2)).max() < 2
    x, y = film_sound(DATA / film), film_sound(rebuilt / film)
    # FFmpeg's AAC encoder works in float32 with the processor's own instructions: loudness, not samples.
    assert len(x) == len(y)
    assert np.sqrt((y**2).mean()) == pytest.approx(np.sqrt((x**2).mean()), rel=0.05)


def test_same_libraries_give_the_same_bytes(maker: ModuleType, rebuilt: Path) -> None:
    recorded = json.loads((DATA / "made_with.json").read_text(encoding="utf-8"))
    if maker.made_with() != recorded:
        pytest.skip(
            f"made with {recorded}, here is {maker.made_with()}: bytes may differ, contents are tested"
        )
    for name in maker.SAMPLES:
        if name.endswith(".mp4"):  # the sound's bytes may differ on another processor, as said above
            assert video_packets(rebuilt / name) == video_packets(DATA / name)
        else:
            assert (rebuilt / name).read_bytes() == (DATA / name).read_bytes(), name


def test_making_twice_on_one_machine_gives_the_same_bytes(
    maker: ModuleType, rebuilt: Path, tmp_path: Path
) -> None:
    maker.make_all(tmp_path)
    for name in (*maker.SAMPLES, "made_with.json"):
        assert (tmp_path / name).read_bytes() == (rebuilt / name).read_bytes(), name


def test_lightning_strikes_once_and_leaves_the_ground_bright() -> None:
    frames = luma(DATA / "video/lightning.mp4")
    ground, sky = frames[:, 125:].mean(axis=(1, 2)), frames[:, :80].mean(axis=(1, 2))
    assert ground[:STRIKE].max() < 45
    assert ground[STRIKE:].min() > 90
    assert np.ptp(ground[:STRIKE]) < 2
    assert np.ptp(ground[STRIKE + 8 :]) < 4
    bright = np.flatnonzero(frames.max(axis=(1, 2)) > 225)
    assert bright.tolist() == [STRIKE, STRIKE + 1]
    assert sky.argmax() in bright
    assert sky[-1] < sky[STRIKE] / 2


def test_thunder_follows_the_lightning() -> None:
    sound = film_sound(DATA / "video/lightning.mp4")[: 2 * 48000]
    loudness = np.sqrt((sound.reshape(-1, 4800) ** 2).mean(axis=1))
    assert loudness.argmax() * 0.1 == pytest.approx(STRIKE / 24 + 0.15, abs=0.11)
    assert 0.001 < loudness[:8].max() < loudness.max() / 4
    assert np.abs(sound).max() < 0.7


def test_only_the_clap_breaks_the_silence() -> None:
    sound, rate = soundfile.read(DATA / "audio/melody_clap.wav", dtype="int16")
    silent, clap = int(np.ceil(SILENT_SECONDS * rate)), round(CLAP_SECONDS * rate)
    assert (rate, sound.shape) == (22050, (4 * 22050, 2))
    assert not sound[silent:clap].any()
    assert np.abs(sound[: silent - 1]).max() > 3000
    assert np.abs(sound).max(axis=1).argmax() in range(clap, clap + rate // 30)
    assert (
        np.abs(sound[clap : clap + 200].astype(int)).max() > 2 * np.abs(sound[:silent].astype(int)).max() / 3
    )
    assert np.abs(sound.astype(int)).max() < 32767


def test_the_faint_disc_needs_16_bit() -> None:
    image = cv2.imread(str(DATA / "image/faint_disc_16bit.png"), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint16
    rows, columns = np.mgrid[:96, :128]
    above = image.astype(int) - (20000 + 160 * columns + 40 * rows)
    assert np.unique(above).tolist() == [0, 120]
    assert above[48, 64] == 120
    assert above[0, 0] == 0
    assert 120 < 65535 / 255 / 2


def test_all_of_it_is_small() -> None:
    kept = [p for p in DATA.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(p.stat().st_size for p in kept) < 3_000_000
