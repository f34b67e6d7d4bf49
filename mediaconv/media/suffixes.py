"""Which suffixes belong to which kind of media: they say whose input a file is;
its content says what it is."""

from __future__ import annotations

AUDIO_SUFFIXES = frozenset([
    ".wav", ".wave", ".w64", ".rf64", ".bwf", ".flac", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".voc", ".nist", ".sph", ".m4a", ".m4b", ".aac",
    ".ac3", ".eac3", ".dts", ".thd", ".mlp", ".wma", ".mka", ".amr", ".ape", ".wv", ".tta", ".tak",
    ".weba",
])  # fmt: skip
IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".avif", ".bmp", ".dib",
    ".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
])  # fmt: skip
VIDEO_SUFFIXES = frozenset([
    ".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg", ".mpe", ".m2v",
    ".ts", ".mts", ".m2ts", ".vob", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".mxf",
    ".dv", ".y4m", ".h264", ".264", ".hevc", ".h265", ".ivf", ".nut", ".rm", ".rmvb",
])  # fmt: skip
VIDEO_AUDIO_SUFFIXES = VIDEO_SUFFIXES - {
    ".gif",
    ".y4m",
    ".m2v",
    ".h264",
    ".264",
    ".hevc",
    ".h265",
    ".ivf",
}
"""Films that can hold sound."""
