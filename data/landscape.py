"""The film sample's pictures: a dark landscape, one stroke of lightning, and the wet ground it leaves.

Draws frames as arrays; encodes nothing and opens no file. All arithmetic is float64 until the last
rounding, so that another processor's vector instructions do not move a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 180
FRAMES, RATE = 48, 24
STRIKE = 20
"""First frame that shows the lightning."""

SCALE = 2  # drawn at twice the size and shrunk: smooth edges
W, H = WIDTH * SCALE, HEIGHT * SCALE
HORIZON = 212
FLASH = (1.0, 0.85, 0.4, 0.22, 0.1, 0.04)  # light of the stroke in the frames from STRIKE on
BOLT = (1.0, 0.7)  # the bolt itself stands for two frames
BRANCHES = ((9, -1, 95), (17, 1, 120), (25, -1, 130), (34, 1, 70), (42, -1, 60), (50, 1, 34))
"""Of the bolt: where on its trunk, to which side, how long."""
WET = (0.6, 0.75, 0.88, 0.96)  # then 1: the ground stays wet


def rgb(hexadecimal: str) -> np.ndarray:
    """Colour as three floats in [0, 1], from "rrggbb"."""
    return np.array([int(hexadecimal[i : i + 2], 16) / 255 for i in (0, 2, 4)])


def noise(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 5) -> np.ndarray:
    """Smooth noise of several scales, (height, width) in [0, 1]; `cell` is the largest scale in pixels."""
    total = np.zeros((height, width))
    for octave in range(octaves):
        size = cell / 2**octave
        grid = rng.random((int(height / size) + 3, int(width / size) + 3))
        big = cv2.resize(grid, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        total += big[:height, :width] / 2**octave
    return (total - total.min()) / (total.max() - total.min())


def mix(a: np.ndarray, b: np.ndarray, amount: np.ndarray | float) -> np.ndarray:
    """`a` where amount is 0, `b` where it is 1. A picture of amounts (H, W) is spread over colours."""
    weight = amount[..., None] if isinstance(amount, np.ndarray) and amount.ndim == 2 else amount
    return a + (b - a) * weight


def ridge(rng: np.random.Generator, base: float, height: float, cell: float, octaves: int) -> np.ndarray:
    """Outline of a range of hills: its row for each column, (W,)."""
    return base - height * noise(rng, 1, W, cell, octaves)[0]


def below(outline: np.ndarray) -> np.ndarray:
    """Soft mask (H, W) of what lies under an outline."""
    return np.clip(np.arange(H)[:, None] - outline[None, :] + 0.5, 0, 1)


def glow(layer: np.ndarray, *sigmas: float) -> np.ndarray:
    """A bright layer with halos of these widths around it."""
    halos = [cv2.GaussianBlur(layer, (0, 0), s) * s**0.55 for s in sigmas]
    return sum(halos, layer)


def bolt_points(rng: np.random.Generator, start: np.ndarray, end: np.ndarray, rough: float) -> np.ndarray:
    """A jagged line between two points, by halving it and moving the middles aside."""
    points = [start, end]
    while len(points) < 65:
        finer = [points[0]]
        for a, b in pairwise(points):
            along = b - a
            aside = np.array([-along[1], along[0]]) * rng.normal(0, rough)
            finer += [(a + b) / 2 + aside, b]
        points = finer
    return np.array(points)


def draw_bolt(rng: np.random.Generator, end: tuple[float, float]) -> np.ndarray:
    """The branching bolt, (H, W) light, 1 in its core."""
    layer = np.zeros((H, W), np.uint8)

    def stroke(points: np.ndarray, width: int, light: int) -> None:
        fixed = np.round(points * 16).astype(np.int32)[:, None]
        line = cv2.polylines(np.zeros_like(layer), [fixed], False, light, width, cv2.LINE_AA, 4)
        np.maximum(layer, line, out=layer)

    trunk = bolt_points(rng, np.array([end[0] + 58.0, -10.0]), np.array(end), 0.13)
    stroke(trunk, 5, 255)
    for at, side, length in BRANCHES:
        tip = trunk[at] + length * np.array([side * rng.uniform(0.7, 1.0), rng.uniform(0.55, 0.9)])
        branch = bolt_points(rng, trunk[at], tip, 0.15)
        stroke(branch, 2, 205)
        twig = branch[rng.integers(20, 44)]
        stroke(bolt_points(rng, twig, twig + length * np.array([side * 0.1, 0.42]), 0.16), 1, 150)
    return layer / 255


def draw_tree(rng: np.random.Generator, x: float, y: float, height: float) -> np.ndarray:
    """Mask (H, W) of a bare tree that stands at (x, y)."""
    layer = np.zeros((H, W), np.uint8)

    def grow(base: np.ndarray, angle: float, length: float, depth: int) -> None:
        tip = base + length * np.array([np.sin(angle), -np.cos(angle)])
        ends = [tuple(int(v) for v in np.round(p * 16)) for p in (base, tip)]
        cv2.line(layer, ends[0], ends[1], 255, max(1, round(length / 9)), cv2.LINE_AA, 4)
        if depth:
            for turn in (-0.42, 0.4) if depth % 2 else (-0.55, 0.05, 0.5):
                grow(
                    tip, angle * 0.9 + turn + rng.normal(0, 0.14), length * rng.uniform(0.6, 0.78), depth - 1
                )

    grow(np.array([x, y]), 0.06, height * 0.34, 6)
    for root in (-15, -7, 6, 14):
        ends = np.array([(x, y - 16), (x + root * 0.45, y - 3), (x + root, y + 2)])
        cv2.polylines(layer, [np.round(ends * 16).astype(np.int32)], False, 255, 4, cv2.LINE_AA, 4)
    return layer / 255


def draw_pines(rng: np.random.Generator, outline: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Mask (H, W) of fir trees that stand on an outline."""
    layer = np.zeros((H, W), np.uint8)
    for x in columns:
        foot, tall = outline[min(max(int(x), 0), W - 1)] + 3, rng.uniform(13, 30)
        for tier in range(4):
            top, wide = foot - tall * (1 - tier * 0.21), tall * (0.09 + 0.06 * tier)
            corners = [(x, top), (x - wide, top + tall * 0.34), (x + wide, top + tall * 0.34)]
            cv2.fillConvexPoly(layer, np.round(np.array(corners) * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    return layer / 255


class Landscape:
    """Everything of the scene that does not change, drawn once from a fixed seed."""

    def __init__(self, seed: int = 7) -> None:
        rng = np.random.default_rng(seed)
        self.clouds = noise(rng, HORIZON + 40, W + 120, 190, 6)
        self.far = ridge(rng, HORIZON + 4, 82, 200, 6)
        self.middle = ridge(rng, HORIZON + 10, 46, 150, 5)
        self.near = ridge(rng, HORIZON + 24, 36, 260, 3)
        self.pines = draw_pines(rng, self.near, np.sort(rng.beta(0.6, 0.9, 46) * W))
        foot = 0.6 * W
        self.bolt = draw_bolt(rng, (foot, self.middle[int(foot)] + 4))
        self.tree = draw_tree(rng, 92, 318, 205)
        self.field, self.puddles = self._ground(rng)
        self.drops = rng.random((260, 3))
        self.ripple = rng.random(H)
        x, y = np.meshgrid(np.arange(W), np.arange(H))
        self.near_bolt = np.exp(-(((x - foot) / 230) ** 2 + ((y - 90) / 190) ** 2))
        self.edge = 1 - 0.35 * (((x / W - 0.5) * 2) ** 2 + ((y / H - 0.5) * 1.6) ** 2)

    @staticmethod
    def _ground(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Texture of the field and mask of its puddles, both (H, W), seen in perspective."""
        depth = 46 / np.maximum(np.arange(H) - HORIZON + 16, 5.0)
        columns = (np.arange(W) - W / 2)[None, :] * depth[:, None] * 2.2 + 700
        rows = np.broadcast_to(depth[:, None] * 330, columns.shape)
        plane = [noise(rng, 1400, 1400, cell, octaves) for cell, octaves in ((60, 6), (150, 4))]
        at = (columns.astype(np.float32), rows.astype(np.float32))
        field, wet = (cv2.remap(p, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for p in plane)
        return field, np.clip((wet - 0.5) * 9, 0, 1)

    def sky(self, frame: int, flash: float, wet: float) -> np.ndarray:
        """Sky with drifting clouds, (H, W, 3)."""
        down = np.clip(np.arange(H) / HORIZON, 0, 1)[:, None, None]
        sky = mix(rgb("0a0f1f"), rgb("2b3a55"), down**1.4)
        sky = sky + wet * rgb("5c7486") * np.exp(-(((1 - down) / 0.2) ** 2)) * 0.9
        sky = np.broadcast_to(sky, (H, W, 3)).copy()
        drift = frame * 0.8
        shift = np.array([[1.0, 0, -drift], [0, 1.0, 0]])
        moved = cv2.warpAffine(self.clouds, shift, (W, H), borderMode=cv2.BORDER_REFLECT)
        thick = np.clip((moved - 0.32) * 2.1, 0, 1)
        rim = np.clip(1 - np.abs(moved - 0.46) / 0.16, 0, 1)
        sky = mix(sky, rgb("151b2c"), thick * 0.8) + 0.11 * rim[..., None] * rgb("7f93bd")
        light = flash * (0.2 + 0.6 * self.near_bolt) * (0.25 + 0.6 * thick + 0.5 * rim)
        return sky + light[..., None] * rgb("a9b4ff")

    def frame(self, number: int) -> np.ndarray:
        """Frame of the film, (HEIGHT, WIDTH, 3) RGB, uint8."""
        since = number - STRIKE
        flash = FLASH[since] if 0 <= since < len(FLASH) else 0.0
        bolt = BOLT[since] if 0 <= since < len(BOLT) else 0.0
        wet = 0.0 if since < 0 else WET[since] if since < len(WET) else 1.0
        image = self.sky(number, flash, wet)
        image += bolt * glow(self.bolt, 3, 9, 30)[..., None] * mix(rgb("8f9dff"), rgb("ffffff"), self.bolt)
        for outline, colour, lit in ((self.far, "26344d", 0.5), (self.middle, "1b283b", 0.4)):
            slope = np.broadcast_to(rgb(colour) * (1 + 0.25 * wet), image.shape)
            shine = flash * lit * (0.3 + 0.7 * self.near_bolt)[..., None] * rgb("8f9fe8")
            image = mix(image, slope + shine, below(outline))
        dark = rgb("0d1520") + flash * 0.1
        image = mix(image, dark, self.pines)
        image = mix(image, self.ground(image, flash, wet), below(self.near))
        image = mix(image, rgb("05080d") + flash * 0.03, self.tree)
        image += self.rain(number, 0.10 + 0.9 * wet)[..., None] * rgb("b8c8e0")
        return self.develop(image)

    def ground(self, above: np.ndarray, flash: float, wet: float) -> np.ndarray:
        """The field, (H, W, 3): dull when dry; wet, it mirrors what stands above the horizon."""
        rows = np.clip(2 * (HORIZON + 14) - np.arange(H), 0, H - 1)
        wave = np.round((self.ripple - 0.5) * 7).astype(int)
        mirror = np.stack([np.roll(above[r], w, axis=0) for r, w in zip(rows, wave, strict=True)])
        mirror = cv2.GaussianBlur(mirror, (0, 0), sigmaX=1.2, sigmaY=3)
        grain = (0.45 + 0.9 * self.field)[..., None]
        dry = rgb("1c2419") * grain
        soaked = rgb("4f7262") * grain + 0.35 * mirror + 0.06
        pool = mirror * 1.2 + rgb("5a7f92")
        ground = mix(dry, mix(soaked, pool, self.puddles * 0.9), wet)
        return ground + flash * (0.12 + 0.4 * self.near_bolt)[..., None] * rgb("9aa6e0") * grain

    def rain(self, number: int, amount: float) -> np.ndarray:
        """Streaks of rain, (H, W); each drop falls on from frame to frame."""
        layer = np.zeros((H, W), np.uint8)
        for x, y, size in self.drops[: int(len(self.drops) * min(amount, 1.0))]:
            fall = (y * 1.4 * H + number * (34 + 26 * size)) % (1.4 * H) - 0.2 * H
            column = x * 1.2 * W - 0.18 * fall
            length = 9 + 16 * size
            ends = [(column, fall), (column - 0.18 * length, fall + length)]
            a, b = [tuple(int(v) for v in np.round(np.array(p) * 16)) for p in ends]
            cv2.line(layer, a, b, int(28 + 40 * size), 1, cv2.LINE_AA, 4)
        return layer / 255

    def develop(self, image: np.ndarray) -> np.ndarray:
        """Light (H, W, 3) to a picture: darker corners, soft highlights, half the size, 8 bit."""
        toned = 1 - np.exp(-1.25 * np.maximum(image * self.edge[..., None], 0))
        small = cv2.resize(toned, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)


def frames() -> Iterator[np.ndarray]:
    """All frames of the film in order, each (180, 320, 3) RGB, uint8."""
    scene = Landscape()
    for number in range(FRAMES):
        yield scene.frame(number)
