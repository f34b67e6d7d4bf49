"""The image samples: a lighthouse full of edges and textures, and a step that only 16 bit can hold.

Draws arrays; writes no file. Float64 until the last rounding, as in `landscape`.
"""

from __future__ import annotations

import cv2
import numpy as np
from landscape import mix, noise, rgb

WIDTH, HEIGHT = 288, 216
SCALE = 2
W, H = WIDTH * SCALE, HEIGHT * SCALE
SEA = 290  # row of the horizon


def polygon(*corners: tuple[float, float]) -> np.ndarray:
    """Mask (H, W) of a convex shape with smooth edges."""
    fixed = np.round(np.array(corners) * 16).astype(np.int32)
    return cv2.fillConvexPoly(np.zeros((H, W), np.uint8), fixed, 255, cv2.LINE_AA, 4) / 255


def disc(x: float, y: float, radius: float) -> np.ndarray:
    """Mask (H, W) of a circle with a smooth edge."""
    rows, columns = np.mgrid[:H, :W]
    return np.clip(radius - np.hypot(columns - x, rows - y) + 0.5, 0, 1)


def sky_and_sea(rng: np.random.Generator) -> np.ndarray:
    """Evening sky with a low sun, and waves that carry its light, (H, W, 3)."""
    rows, columns = np.mgrid[:H, :W]
    height = np.clip(rows / SEA, 0, 1)[..., None]
    image = mix(
        mix(rgb("27406e"), rgb("e58b5b"), height**1.5), rgb("ffe3a3"), np.clip(height - 0.8, 0, 1) * 3
    )
    streaks = noise(rng, H * 5, W // 2 + 1, 220, 6)
    streaks = cv2.resize(streaks, (W, H), interpolation=cv2.INTER_AREA)
    image = mix(image, rgb("b4566a"), np.clip((streaks - 0.5) * 3, 0, 0.7) * (1 - height[..., 0] * 0.4))
    image = mix(image, rgb("fff3cf"), disc(428, 236, 31))
    near = np.clip((rows - SEA) / (H - SEA), 0, 1)
    swell = noise(rng, 600, 900, 20, 4)
    across, away = (columns - 428) / (0.15 + near) * 0.12 + 450, 70 / (0.13 + near)
    at = (across.astype(np.float32), away.astype(np.float32))
    wave = cv2.remap(swell, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    crest = np.clip((wave - 0.5) * 5, 0, 1)
    path = np.exp(-(((columns - 428) / (34 + 120 * near)) ** 2))
    water = mix(rgb("31527a"), rgb("12283f"), near) + crest[..., None] * rgb("3a5670") * 0.6
    water = mix(water, rgb("ffd089"), path * (0.2 + 0.8 * crest) * 0.85)
    return mix(image, water, np.clip(rows - SEA + 0.5, 0, 1))


def tower(image: np.ndarray) -> np.ndarray:
    """The lighthouse with its stripes, windows, gallery and lamp, drawn onto the image."""
    top, foot = 96.0, 352.0
    rows, columns = np.mgrid[:H, :W]
    middle = 170.0
    half = 24 + 20 * (rows - top) / (foot - top)
    body = np.clip(half - np.abs(columns - middle) + 0.5, 0, 1) * ((rows >= top) & (rows <= foot + 14))
    stripe = np.clip(np.sin((rows - top) / (foot - top) * 7 * np.pi) * 14 + 0.5, 0, 1)
    shade = 0.5 + 0.55 * np.clip((columns - middle) / half * 0.5 + 0.5, 0, 1)
    image = mix(image, mix(rgb("f4ead9"), rgb("b8322c"), stripe) * shade[..., None], body)
    for y in (146, 219, 292):
        image = mix(image, rgb("201c24"), polygon((162, y), (178, y), (178, y + 22), (162, y + 22)))
    image = mix(image, rgb("ffe9a0"), polygon((150, 58), (190, 58), (190, 90), (150, 90)))
    for x in (150, 163, 177, 190):
        image = mix(image, rgb("1d2430"), polygon((x - 1.5, 56), (x + 1.5, 56), (x + 1.5, 90), (x - 1.5, 90)))
    image = mix(image, rgb("7d2420"), polygon((142, 58), (198, 58), (170, 28)))
    image = mix(image, rgb("1d2430"), polygon((168, 14), (172, 14), (172, 32), (168, 32)))
    image = mix(image, rgb("1d2430"), polygon((136, 90), (204, 90), (198, 99), (142, 99)))
    for x in range(138, 206, 8):
        image = mix(image, rgb("1d2430"), polygon((x - 1, 76), (x + 1, 76), (x + 1, 90), (x - 1, 90)))
    return mix(image, rgb("1d2430"), polygon((136, 75), (204, 75), (204, 77.5), (136, 77.5)))


def rocks(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The rough ground that the tower stands on, drawn onto the image."""
    columns = np.arange(W)
    outline = 344 + ((columns - 168) / 30) ** 2 * 0.9 + 26 * (noise(rng, 1, W, 80, 5)[0] - 0.5)
    stone = noise(rng, H, W, 46, 6)
    relief = np.clip(0.5 + 9 * (stone - np.roll(stone, (3, -3), (0, 1))), 0, 1.4)
    colour = mix(rgb("1c1a22"), rgb("97755f"), relief * 0.75)
    return mix(image, colour, np.clip(np.arange(H)[:, None] - outline[None, :] + 0.5, 0, 1))


def lighthouse(seed: int = 3) -> np.ndarray:
    """The lighthouse at evening, (216, 288, 3) RGB, uint8."""
    rng = np.random.default_rng(seed)
    image = rocks(rng, tower(sky_and_sea(rng)))
    small = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)


def faint_disc() -> np.ndarray:
    """A gentle ramp with a disc 120 levels above it, (96, 128) uint16: less than one level of 8 bit."""
    rows, columns = np.mgrid[:96, :128]
    ramp = 20000 + 160 * columns + 40 * rows
    inside = np.hypot(columns - 64, rows - 48) < 30
    return (ramp + 120 * inside).astype(np.uint16)
